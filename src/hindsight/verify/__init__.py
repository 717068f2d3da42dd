"""Hold analyses against the truth and against observations they did not see."""
