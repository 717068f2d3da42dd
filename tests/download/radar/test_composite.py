"""The layout of composites in words."""

from hindsight.download.radar.composite import Layout


def test_a_layout_says_what_tells_it_from_others():
    text = str(Layout("knmi", "RAD_NL25", "mm h-1", "+proj=stere", 0.0, -3650.0, 1.0, 1.0, 765, 700))
    for part in ("KNMI", "RAD_NL25", "765 x 700", "1 x 1 km", "y = -3650", "+proj=stere"):
        assert part in text
