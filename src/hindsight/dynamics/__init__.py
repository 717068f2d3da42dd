"""Built-in worlds: equations that make weather where there is none to download."""
