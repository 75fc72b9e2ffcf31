"""Matplotlib's SVG made small, free of clashes, and of the page's colours."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Iterator, Mapping
from xml.etree import ElementTree

import numpy as np
from PIL import Image

#: Beginnings of the groups' ids that are kept for the page's script: what an arm is drawn with,
#: and its sample and label in the legend. The arm's number follows.
ARM, SAMPLE, LABEL = "arm-", "sample-", "label-"
_KEPT = re.compile(rf"({ARM}|{SAMPLE}|{LABEL})(\d+)")
_NUMBER = re.compile(r"-?\d+\.\d+(?:e[-+]?\d+)?")
_REFERENCE = re.compile(r"url\(#([^)]+)\)")
_FAMILY = re.compile(r"font-family:[^;]*;?\s*")
_LEADING_ZERO = re.compile(r"\b0\.")
_DATA = "data:image/png;base64,"
#: A figure is not drawn narrower: its text would be too small to read.
_NARROWEST = 820


def inline(
    text: str,
    title: str,
    slug: str,
    variables: Mapping[str, str],
    data: Mapping[str, str] | None = None,
) -> str:
    """Rewrite an SVG file to be put inline in HTML.

    Args:
        text: What matplotlib wrote, with text as text.
        title: Title of the figure.
        slug: The beginning of every id.
        variables: The replacement of each colour.
        data: Further attributes of the root.
    """
    root = ElementTree.fromstring(text)
    for element in list(root.iter()):
        for child in list(element):
            if _local(child.tag) in ("metadata", "style"):
                element.remove(child)
    _strip_namespaces(root)
    used = {name: f"{slug}-{k}" for k, name in enumerate(dict.fromkeys(_references(root)))}
    for element in root.iter():
        _rewrite(element, used, variables)
    for element in root.iter():
        _share_style(element)
    _unwrap(root)
    for element in root.iter():
        _share_clip(element)
    _unwrap(root)
    root.attrib = {**_root_attributes(root.get("viewBox", "")), **(data or {})}
    name = ElementTree.Element("title")
    name.text = title
    root.insert(0, name)
    for element in root.iter():
        if element.tag not in ("text", "title", "tspan"):
            element.text = None
        element.tail = None
    # Texts and attributes have no bare ">".
    return ElementTree.tostring(root, encoding="unicode").replace(" />", "/>")


def _root_attributes(view_box: str) -> dict[str, str]:
    width = float(view_box.split()[2])
    return {
        "xmlns": "http://www.w3.org/2000/svg",
        "viewBox": view_box,
        "role": "img",
        "style": f"width:100%;max-width:{width:g}px;min-width:{min(width, _NARROWEST):g}px;"
        "height:auto;font-family:inherit;stroke-linejoin:round;stroke-linecap:butt",
    }


def _local(tag: str) -> str:
    return tag.rpartition("}")[2]


def _strip_namespaces(root: ElementTree.Element) -> None:
    """Remove namespaces: HTML knows SVG's elements, and `href` has replaced `xlink:href`."""
    for element in root.iter():
        element.tag = _local(element.tag)
        element.attrib = {_local(key): value for key, value in element.attrib.items()}


def _references(root: ElementTree.Element) -> Iterator[str]:
    for element in root.iter():
        for key, value in element.attrib.items():
            if key == "href" and value.startswith("#"):
                yield value[1:]
            yield from _REFERENCE.findall(value)


def _rewrite(
    element: ElementTree.Element, used: Mapping[str, str], variables: Mapping[str, str]
) -> None:
    """Shorten an element's attributes; `used` has the new ids of elements that others refer to."""
    for key, value in list(element.attrib.items()):
        if key == "id":
            if kept := _KEPT.fullmatch(value):
                element.set("data-arm", kept[2])
                if kept[1] != ARM:
                    element.set("data-legend", kept[1].rstrip("-"))
            if value in used and element.tag != "g":
                element.set(key, used[value])
            else:
                del element.attrib[key]
        elif key == "href":
            if value.startswith("#"):
                element.set(key, f"#{used[value[1:]]}")
            elif value.startswith("data:"):
                element.set(key, _smaller(value))
        elif key == "style":
            element.set(key, _style(value, variables))
        elif key == "d":
            element.set(key, _path(value))
        elif key == "transform" and value.startswith("rotate(-0 "):
            del element.attrib[key]
        elif key in ("x", "y", "width", "height", "transform"):
            element.set(key, _rounded(value, 1 if element.tag == "use" else 2))
        if key in element.attrib:
            whole = element.attrib[key]
            element.set(key, _REFERENCE.sub(lambda found: f"url(#{used[found[1]]})", whole))


def _share_style(element: ElementTree.Element) -> None:
    """The style of a group's marks is said once, by the group."""
    styles = {child.get("style") for child in element}
    if element.tag != "g" or len(element) < 2 or len(styles) > 1:
        return
    style = styles.pop()
    if style and all(child.tag == "use" for child in element) and "style" not in element.attrib:
        element.set("style", style)
        for child in element:
            del child.attrib["style"]


def _share_clip(element: ElementTree.Element) -> None:
    """What an arm is drawn with is clipped once, as a whole."""
    children = [child for child in element if child.tag != "defs"]
    clips = {child.get("clip-path") for child in children}
    if "data-arm" not in element.attrib or len(clips) != 1:
        return
    if clip := clips.pop():
        element.set("clip-path", clip)
        for child in children:
            del child.attrib["clip-path"]


def _style(text: str, variables: Mapping[str, str]) -> str:
    """Colours replaced, fonts inherited, blanks dropped."""
    text = _FAMILY.sub("", text)
    for colour, variable in variables.items():
        text = text.replace(colour, variable)
    return re.sub(r"\s*([:;])\s*", r"\1", _rounded(text, 2))


def _rounded(text: str, digits: int) -> str:
    def shorter(found: re.Match[str]) -> str:
        return f"{round(float(found[0]), digits) + 0.0:.{digits}f}".rstrip("0").rstrip(".")

    return _NUMBER.sub(shorter, text)


def _path(text: str) -> str:
    """A path in tenths of a pixel; polygons are written in relative steps, which are shorter."""
    if re.search("[CQ]", text):
        return re.sub(r"\s+", " ", _rounded(text, 2)).strip()
    words = text.split()
    out: list[str] = []
    x = y = 0
    k = 0
    drawing = False
    while k < len(words):
        command = words[k]
        if command in ("z", "Z"):
            out.append("z")
            drawing = False
            k += 1
            continue
        new_x, new_y = round(float(words[k + 1]) * 10), round(float(words[k + 2]) * 10)
        if command == "M":
            out.append(f"M{_tenths(new_x)} {_tenths(new_y)}")
            drawing = False
        elif (new_x, new_y) != (x, y):
            step_y = _tenths(new_y - y)
            lead = "" if drawing else "l"
            step_x = _tenths(new_x - x)
            lead = lead or ("" if step_x.startswith("-") else " ")
            out.append(f"{lead}{step_x}{'' if step_y.startswith('-') else ' '}{step_y}")
            drawing = True
        x, y = new_x, new_y
        k += 3
    return "".join(out)


def _tenths(value: int) -> str:
    if abs(value) >= 1_000_000:
        return f"{value / 10:.0f}"
    return _LEADING_ZERO.sub(".", f"{value / 10:g}")


def _unwrap(element: ElementTree.Element) -> None:
    """Replace groups that say nothing by what they hold, and drop empty ones."""
    children: list[ElementTree.Element] = []
    for child in element:
        _unwrap(child)
        if child.tag in ("g", "defs") and len(child) == 0:
            continue
        if child.tag == "g" and not child.attrib:
            children.extend(child)
        else:
            children.append(child)
    element[:] = children


def _smaller(data: str) -> str:
    """The PNG with a palette, if a palette holds all its colours."""
    binary = base64.b64decode(data[len(_DATA) :])
    pixels = np.asarray(Image.open(io.BytesIO(binary)).convert("RGBA"))
    colours, index = np.unique(pixels.reshape(-1, 4), axis=0, return_inverse=True)
    if len(colours) > 256:
        return data
    image = Image.fromarray(index.reshape(pixels.shape[:2]).astype(np.uint8), mode="P")
    image.putpalette(colours[:, :3].tobytes())
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True, transparency=colours[:, 3].tobytes())
    return _DATA + base64.b64encode(buffer.getvalue()).decode()
