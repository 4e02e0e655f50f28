"""Drawing: what is drawn is the data, nothing leaves the canvas, and both themes get every colour."""
import re
import unittest

import testing


def modules():
    import figure_data
    import figure_style
    import figures
    import results
    return figure_data, figure_style, figures, results


def load(*documents):
    from made_results import runs, save
    return modules()[3].gather([save("figures.replay.json", runs(*documents))])[0]


def cases():
    """{name: figures}; between them every shape that data can have."""
    from made_reports import ablation, domino, measure, reports, sweep
    from made_results import run
    import report_data
    figure_data = modules()[0]
    long_route = "s2,orphans=reclaim,drain=gated,notify=2,window=200,must_reuse=8"
    threads = [{"id": number, "new_pages": number, "recycled_pages": 3, "page_reuses": 10 ** 6} for number in range(40)]
    pairs = [[number, number + 1, 10 ** number] for number in range(12)]
    made = {
        "one run": [run(threads=threads, migrations=pairs)], "no row": [run(rows=0), run(long_route, rows=1, migrations=pairs * 1)],
        "zeros": [run(peak=0), run("b", peak=0)], "long names": [run(long_route), run(long_route, seed=2, rows=4096)],
        "tiny and huge": [run("a", peak=1, threads=threads[:2]), run("b", peak=50_000_000, threads=threads)],
    }
    found = {name: figure_data.all_figures(load(*documents), 50) for name, documents in made.items()}
    found["reports"] = report_data.all_figures(reports(measure(), domino(), sweep(), ablation()))
    found["extreme reports"] = report_data.all_figures(reports(measure(1, factor=1e7), domino(links=60), sweep(1, 1)))
    return found


class Drawing(unittest.TestCase):
    def test_no_text_leaves_the_canvas(self):
        # half of an axis' first number may stand in the margin, which page and PNG have
        figures = modules()[2]
        for name, found in cases().items():
            for width in (358, 900):
                for figure in found:
                    drawn = figures.block(figure)
                    canvas = figures.Canvas(width, drawn.height(width))
                    drawn.draw(canvas, 0, 0, width)
                    canvas.figure.draw_without_rendering()  # axis labels find their place when drawn
                    renderer = canvas.figure.canvas.get_renderer()
                    for text in self.texts(canvas.figure):
                        box = text.get_window_extent(renderer)
                        inside = box.x0 >= -8 and box.x1 <= width + 1 and box.y0 >= -1 and box.y1 <= canvas.height + 1
                        self.assertTrue(inside, f"{name}, {figure.name} at {width}: {text.get_text()!r} at {box}")
                    canvas.close()

    def texts(self, figure):
        """Texts that are seen: matplotlib keeps ticks beyond the limits, which it does not draw."""
        from matplotlib.text import Text
        ticks = set()
        for axes in figure.axes:
            for axis, limits in ((axes.xaxis, axes.get_xlim()), (axes.yaxis, axes.get_ylim())):
                for tick in axis.get_major_ticks():
                    if not min(limits) <= tick.get_loc() <= max(limits):
                        ticks.update((tick.label1, tick.label2))
        return [text for text in figure.findobj(Text) if text.get_visible() and text.get_text() and text not in ticks]

    def test_bars_are_as_long_as_their_numbers(self):
        figure_data, _, figures, _ = modules()
        from made_results import run
        figure = figure_data.remote_frees(load(run("a"), run("b", surplus=.6)))
        drawn = figures.block(figure)
        canvas = figures.Canvas(900, drawn.height(900))
        drawn.draw(canvas, 0, 0, 900)
        drawn_bars = [(patch.get_x(), patch.get_width()) for patch in canvas.figure.axes[0].patches]
        canvas.close()
        expected = []
        for row in figure.panels[0].rows:
            values = [value for _, value in row.segments if value]
            expected += [(sum(values[:place]), value) for place, value in enumerate(values)]
        self.assertEqual(drawn_bars, expected)

    def test_areas_end_at_the_pages_held(self):
        figure_data, _, figures, _ = modules()
        from made_results import run
        loaded = load(run("a", rows=20))
        figure = figure_data.timeline(loaded, 50)
        drawn = figures.block(figure)
        canvas = figures.Canvas(900, drawn.height(900))
        drawn.draw(canvas, 0, 0, 900)
        areas = canvas.figure.axes[0].collections
        self.assertEqual(len(areas), len(figure.key_names))
        top = max(point[1] for point in areas[-1].get_paths()[0].vertices)
        canvas.close()
        self.assertEqual(top, max(loaded[0].timeline["held"]))


    def test_a_file_stands_by_itself(self):
        figures = modules()[2]
        element = figures.plain_svg(cases()["one run"][0], 900)
        text = figures.svg_file(element)
        self.assertTrue(text.startswith("<?xml"))
        self.assertNotIn("var(", text)
        self.assertIn('xmlns="http://www.w3.org/2000/svg"', text)
        import xml.dom.minidom
        xml.dom.minidom.parseString(text.encode())

    def test_pictures_are_put_under_one_another(self):
        import matplotlib.image
        figures = modules()[2]
        pictures = [figures.heading("title", "lead " * 60)] + [figures.picture(figure) for figure in cases()["one run"][:2]]
        figures.save_png("all.png", pictures)
        read = matplotlib.image.imread("all.png")
        self.assertEqual(read.shape[:2], (sum(len(each) for each in pictures), figures.PNG_WIDTH * figures.PNG_SCALE))

    def test_a_chain_is_as_long_as_its_times(self):
        import report_data
        from made_reports import domino, reports
        figures = modules()[2]
        figure = report_data.all_figures(reports(domino(links=3)))[0]
        drawn = figures.block(figure)
        canvas = figures.Canvas(900, drawn.height(900))
        drawn.draw(canvas, 0, 0, 900)
        lines = [tuple(line.get_xdata()) for line in canvas.figure.axes[0].lines if len(line.get_xdata()) == 2]
        canvas.close()
        links = figure.panels[0].links
        self.assertEqual(lines, [pair for link in links for pair in ((link.mapped, link.stolen), (link.stolen, link.fresh))])

    def test_boxes_of_a_flame_graph_are_as_wide_as_their_numbers(self):
        from figure_data import Figure
        from trace_data import Box, FlamePanel
        figures = modules()[2]
        boxes = [Box(0, 0.0, 10.0, "main", "program"), Box(1, 2.5, 7.5, "malloc", "library")]
        drawn = figures.block(Figure("flame", "", "", [FlamePanel("", "", boxes, 10.0, "pages")], {}, "flame"))
        canvas = figures.Canvas(900, drawn.height(900))
        drawn.draw(canvas, 0, 0, 900)
        found = [(patch.get_x(), patch.get_y(), patch.get_width()) for patch in canvas.figure.axes[0].patches]
        canvas.close()
        self.assertEqual(found, [(box.start, box.depth, box.width) for box in boxes])


class Themes(unittest.TestCase):
    def test_light_colours_differ(self):
        style = modules()[1]
        lights = [light for light, _ in style.ROLES.values()]
        self.assertEqual(len(set(lights)), len(lights))
        self.assertTrue(all(re.fullmatch("#[0-9a-f]{6}", color) for colors in style.ROLES.values() for color in colors))

    def test_every_key_has_a_colour(self):
        _, style, _, results = modules()
        for key in results.PAGE_STATES + results.CAUSES + results.OWNER_STATES:
            self.assertIn(key, style.ROLE_OF_KEY)
        for keys in (results.PAGE_STATES, results.CAUSES, results.OWNER_STATES):
            self.assertEqual(len({style.ROLE_OF_KEY[key] for key in keys}), len(keys))

    def test_text_can_be_read_on_its_ground(self):
        style = modules()[1]

        def light(color):
            parts = [int(color[at:at + 2], 16) / 255 for at in (1, 3, 5)]
            parts = [part / 12.92 if part <= .04045 else ((part + .055) / 1.055) ** 2.4 for part in parts]
            return .2126 * parts[0] + .7152 * parts[1] + .0722 * parts[2]
        for theme in (style.LIGHT, style.DARK):
            for ground in ("paper", "shade"):
                for ink in ("ink", "muted"):
                    pair = sorted((light(style.color(ink, theme)), light(style.color(ground, theme))))
                    self.assertGreaterEqual((pair[1] + .05) / (pair[0] + .05), 4.5, (theme, ground, ink))

    def test_an_svg_takes_all_colours_from_the_page(self):
        figures, found = modules()[2], cases()
        for figure in found["long names"] + found["reports"]:
            svg = figures.svg(figure, 900)
            self.assertEqual(re.findall(r"#[0-9a-fA-F]{6}\b", svg), [])
            self.assertIn("var(--ink)", svg)
            self.assertNotIn("DejaVu", svg)

    def test_ids_of_two_pictures_differ_and_the_same_picture_is_the_same_bytes(self):
        figures = modules()[2]
        drawn = cases()["one run"]
        seen = set()
        for figure in drawn:
            for width in (358, 900):
                clips = set(re.findall(r'clipPath id="(\w+)"', figures.svg(figure, width)))
                self.assertTrue(clips)
                self.assertFalse(clips & seen)
                seen |= clips
        self.assertEqual(figures.svg(drawn[0], 900), figures.svg(drawn[0], 900))


if __name__ == "__main__":
    testing.main("matplotlib")
