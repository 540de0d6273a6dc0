"""The parts that callbacks are built from: sessions, masks, constraints, schedules, granularities, saved states."""
