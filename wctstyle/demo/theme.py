"""How the page looks: one theme with the system's own fonts, and the files that go with it."""

from __future__ import annotations

from importlib.resources import files

from gradio.themes import Base
from gradio.themes.utils import colors, sizes

INK = colors.Color(
    c50="#f7f5f1", c100="#efece5", c200="#e2ddd2", c300="#cbc4b6", c400="#a39b8c", c500="#7a7266",
    c600="#5a544b", c700="#3d3933", c800="#272420", c900="#1b1916", c950="#121110", name="ink",
)  # fmt: skip
VERMILION = colors.Color(
    c50="#fdf3ef", c100="#fbe3da", c200="#f6c4b3", c300="#ee9c82", c400="#e47353", c500="#d6512e",
    c600="#b93f20", c700="#96331c", c800="#782c1b", c900="#62281a", c950="#35110a", name="vermilion",
)  # fmt: skip


def asset(name: str) -> str:
    """Return the text of a file that comes with the page."""
    return files("wctstyle.demo").joinpath("assets", name).read_text(encoding="utf-8")


def theme() -> Base:
    """Make the theme: warm greys, one accent, no font or script from elsewhere."""
    return Base(
        primary_hue=VERMILION,
        secondary_hue=VERMILION,
        neutral_hue=INK,
        text_size=sizes.text_md,
        radius_size=sizes.radius_md,
        font=("ui-sans-serif", "system-ui", "-apple-system", "Segoe UI", "Roboto", "Helvetica Neue", "sans-serif"),
        font_mono=("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace"),
    ).set(
        body_background_fill="*neutral_50",
        body_background_fill_dark="*neutral_950",
        block_background_fill="white",
        block_background_fill_dark="*neutral_900",
        block_border_width="0px",
        block_shadow="none",
        block_label_background_fill="transparent",
        block_label_background_fill_dark="transparent",
        block_title_text_weight="600",
        block_title_text_color="*body_text_color",
        block_title_text_color_dark="*body_text_color",
        checkbox_label_background_fill="*neutral_100",
        checkbox_label_background_fill_dark="*neutral_800",
        checkbox_label_background_fill_selected="*neutral_200",
        checkbox_label_background_fill_selected_dark="*neutral_700",
        button_secondary_background_fill_dark="*neutral_700",
        slider_color="*primary_500",
        slider_color_dark="*primary_400",
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_hover="*primary_700",
        button_primary_background_fill_dark="*primary_600",
        button_primary_text_color="white",
        input_background_fill="*neutral_50",
        input_background_fill_dark="*neutral_800",
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_300",
        checkbox_border_color="*neutral_500",
        checkbox_border_color_dark="*neutral_400",
        block_info_text_color="*neutral_600",
        block_info_text_color_dark="*neutral_300",
    )


HEAD = """
<meta name="color-scheme" content="light dark">
<link rel="icon" href="data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 32 32'%3E%3Crect \
width='32' height='32' rx='7' fill='%23b93f20'/%3E%3Cpath d='M6 21c5-12 7 4 11-6s6-3 9-6' fill='none' stroke='white' \
stroke-width='3.4' stroke-linecap='round'/%3E%3C/svg%3E">
"""
