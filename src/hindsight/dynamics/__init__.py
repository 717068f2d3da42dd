"""Built-in worlds: equations that simulate weather where there is none to download."""
