"""Saves pictures of the reports of the notebook as PNG files.

    pictures.py REPORTS FOLDER

Opens the reports in a browser without a window, makes the choices of each picture, and saves what
plotly.js draws.
"""

import base64
import pathlib
import shutil
import sys

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.support.ui import Select, WebDriverWait

# Name of the file: the report, the figure in it, and the choice that is made there, if any: a colour or
# a view.
PICTURES = {
    "pca-cells": ("pca.html", "cells", "cluster"),
    "pca-variance": ("pca.html", "variance", None),
    "mu-error": ("mu.html", "error", None),
    "mu-usages": ("mu.html", "shares", None),
    "mu-cells": ("mu.html", "cells", "program 3"),
    "several-error": ("several.html", "by_k", "relative error"),
    "five-usages": ("five.html", "shares", None),
}

SAVE = """
const [id, done] = arguments;
const plot = document.querySelector(`#${id} .plot`);
Plotly.toImage(plot, {format: "png", width: 720, height: plot.clientHeight, scale: 1.5}).then(done);
"""


def browser():
    options = webdriver.ChromeOptions()
    for argument in ["--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=900,1200"]:
        options.add_argument(argument)
    return webdriver.Chrome(options, Service(shutil.which("chromedriver")))


def main(reports, folder):
    driver, opened = browser(), None
    try:
        for name, (report, figure, choice) in PICTURES.items():
            if report != opened:
                driver.get((reports / report).resolve().as_uri())
                ready = lambda driver: driver.execute_script("return document.documentElement.dataset.live")
                WebDriverWait(driver, 60).until(ready)
                opened = report
            # A figure is drawn when it comes near the window.
            driver.execute_script("document.getElementById(arguments[0]).scrollIntoView()", figure)
            drawn = lambda driver: driver.execute_script(f"return document.querySelectorAll('#{figure} .plot .main-svg').length")
            WebDriverWait(driver, 60).until(drawn)
            if choice:
                choices = driver.find_element("css selector", f"#{figure} .colour, #{figure} .view")
                Select(choices).select_by_visible_text(choice)
            picture = driver.execute_async_script(SAVE, figure)
            (folder / f"{name}.png").write_bytes(base64.b64decode(picture.split(",", 1)[1]))
    finally:
        driver.quit()


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))
