#!/usr/bin/python3
"""make_pictures.py [NAME...]: makes the pictures of doc/viewers.md anew, each by the viewer itself.

    heaptrack   heaptrack-gui xvfb xdotool imagemagick x11-utils
    pprof       golang-go graphviz imagemagick
    chrome      chromium chromium-driver python3-selenium, and CATAPULT=FOLDER: the sources of Chrome's
                trace viewer (github.com/catapult-project/catapult), the same that chrome://tracing has
    speedscope  chromium chromium-driver python3-selenium, and SPEEDSCOPE=FOLDER: node_modules/speedscope,
                of `npm install speedscope`
    csv         gnuplot-nox

Those are Debian's packages. What is missing for a picture is said, and that picture stays as it is.
The trace is redis of the corpus; its functions have names where the builds that recorded it are installed.
"""
import base64
import os
import shutil
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = os.path.dirname(os.path.dirname(HERE))
HAKTRACE = os.environ.get("HAKTRACE") or os.path.join(SOURCE, "build/release/bin/haktrace")
WIDTH, HEIGHT = 1000, 600
COLOURS = 128  # of a PNG: flat areas and letters need no more


class Missing(Exception):
    """What a picture needs and this machine lacks."""


def need(*commands):
    for command in commands:
        if not shutil.which(command):
            raise Missing(command)


def folder(variable, inside):
    path = os.path.abspath(os.environ.get(variable, ""))
    if not os.environ.get(variable) or not os.path.exists(os.path.join(path, inside)):
        raise Missing(f"{variable}=FOLDER with {inside}")
    return path


def export(form, trace="redis"):
    path = f"{trace}.{form}"
    subprocess.run([HAKTRACE, "export", f"--format={form}", "--symbols", "--force", "--quiet", "-o", path,
                    f"{SOURCE}/traces/corpus/{trace}.zst"], check=True)
    return path


def heaptrack():
    need("heaptrack_gui", "Xvfb", "xdotool", "import")
    display = ":97"
    os.makedirs("home", mode=0o700, exist_ok=True)
    environment = dict(os.environ, DISPLAY=display, HOME=os.path.abspath("home"), XDG_RUNTIME_DIR=os.path.abspath("home"), QT_QPA_PLATFORM="xcb")
    server = subprocess.Popen(["Xvfb", display, "-screen", "0", f"{WIDTH}x{HEIGHT}x24"], stderr=subprocess.DEVNULL)
    try:
        time.sleep(1)
        viewer = subprocess.Popen(["heaptrack_gui", export("heaptrack")], env=environment, stderr=subprocess.DEVNULL)
        try:
            def do(*words):
                return subprocess.run(words, env=environment, check=True, stdout=subprocess.PIPE, encoding="utf-8").stdout
            time.sleep(6)
            window = do("xdotool", "search", "--onlyvisible", "--pid", str(viewer.pid)).split()[-1]
            do("xdotool", "windowmove", window, "0", "0", "windowsize", window, str(WIDTH), str(HEIGHT))
            time.sleep(1)
            do("xdotool", "mousemove", "443", "37", "click", "1")  # its tab Flame Graph
            time.sleep(3)
            do("xdotool", "mousemove", "150", "150")  # where nothing explains itself
            time.sleep(2)
            do("import", "-window", "root", "picture.png")
        finally:
            viewer.terminate()
            viewer.wait()
    finally:
        server.terminate()
        server.wait()


def pprof():
    need("go", "dot")
    subprocess.run(["go", "tool", "pprof", "-png", "-output", "picture.png", "-sample_index=inuse_space", "-nodecount=14", export("pprof")],
                   check=True, stderr=subprocess.DEVNULL)
    subprocess.run(["convert", "picture.png", "-resize", f"{WIDTH}x", "picture.png"], check=True)


def browse(address, seconds, keys="", height=HEIGHT):
    """The page as headless Chromium shows it after so many seconds."""
    need("chromium", "chromedriver")
    try:
        from selenium import webdriver
        from selenium.webdriver.chrome.options import Options
        from selenium.webdriver.chrome.service import Service
        from selenium.webdriver.common.action_chains import ActionChains
    except ImportError:
        raise Missing("python3-selenium, and the python3 of Debian to run this")
    options = Options()
    options.binary_location = shutil.which("chromium")
    for argument in ("--headless=new", "--no-sandbox", "--hide-scrollbars", "--allow-file-access-from-files", f"--window-size={WIDTH},{height}",
                     f"--user-data-dir={os.path.abspath('profile')}"):
        options.add_argument(argument)
    driver = webdriver.Chrome(service=Service(shutil.which("chromedriver")), options=options)
    try:
        driver.get(address)
        time.sleep(seconds)
        if keys:
            ActionChains(driver).send_keys(keys).perform()
            time.sleep(3)
        driver.save_screenshot("picture.png")
    finally:
        driver.quit()


def chrome():
    to_html = os.path.join(folder("CATAPULT", "tracing/bin/trace2html"), "tracing/bin/trace2html")
    need("convert")
    subprocess.run(["/usr/bin/python3", to_html, export("chrome"), "--output", "chrome.html"], check=True, stdout=subprocess.DEVNULL)
    browse(f"file://{os.path.abspath('chrome.html')}", 10, height=1150)
    # Its upper half; below it waits for something to be selected.
    subprocess.run(["convert", "picture.png", "-crop", f"{WIDTH}x450+0+0", "+repage", "picture.png"], check=True)


def speedscope():
    page = os.path.join(folder("SPEEDSCOPE", "dist/release/index.html"), "dist/release/index.html")
    with open(export("collapsed"), "rb") as file:
        content = base64.b64encode(file.read()).decode()
    with open("profile.js", "w", encoding="utf-8") as file:
        file.write(f'speedscope.loadFileFromBase64("redis.collapsed", "{content}")')
    browse(f"file://{page}#localProfilePath={os.path.abspath('profile.js')}", 10, keys="2")  # its view Left Heavy


def csv():
    need("gnuplot")
    export("csv", "git-grep")
    subprocess.run(["gnuplot", "-e", f"set terminal pngcairo size {WIDTH},400; set output 'picture.png'; set datafile separator ','; "
                    "set logscale y 2; set xlabel 'ms'; set ylabel 'bytes asked for'; set cblabel 'thread'; unset key; "
                    "plot 'git-grep.csv' using ($2/1e6):6:3 with points pointtype 7 pointsize 0.2 palette"], check=True)


PICTURES = {"heaptrack": heaptrack, "pprof": pprof, "chrome": chrome, "speedscope": speedscope, "csv": csv}


def main():
    unknown = [name for name in sys.argv[1:] if name not in PICTURES]
    if unknown:
        sys.exit(f"make_pictures.py: {', '.join(PICTURES)} expected, found {unknown[0]}")
    for name in sys.argv[1:] or PICTURES:
        with tempfile.TemporaryDirectory() as scratch:
            os.chdir(scratch)
            try:
                PICTURES[name]()
                need("convert")
                subprocess.run(["convert", "picture.png", "-strip", "+dither", "-colors", str(COLOURS), "-define", "png:compression-level=9",
                                os.path.join(HERE, f"{name}.png")], check=True)
                print(f"{name}.png: {os.path.getsize(os.path.join(HERE, name + '.png')) >> 10} KiB")
            except Missing as error:
                print(f"{name}.png stays as it is, missing: {error}")
            finally:
                os.chdir("/")


if __name__ == "__main__":
    main()
