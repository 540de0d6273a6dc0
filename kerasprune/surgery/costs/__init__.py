"""Parameters and multiply–adds counted without building a model (`kp.cost`), and the report of a plan (`kp.report`)."""
