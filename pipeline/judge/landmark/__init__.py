"""The bundled judge: mouth landmarks against log-mel spectra."""
