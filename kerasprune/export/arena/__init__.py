"""The memory that tflite-micro takes to run a `.tflite` file: its arena, counted without running it."""
