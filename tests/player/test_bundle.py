"""Modules of JavaScript become one script."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from nervcodec.errors import ConfigError
from nervcodec.player.bundle import bundle

MODULES = {
    "main.js": """/** What runs. */
import { twice as double, Box } from './lib/tools.js';
import * as names from './names.js';
import {
  ONE,
} from './names.js';
const text = `a
  b`; // a text over lines
console.log(JSON.stringify([double(ONE), new Box(names.two).value, text]));
""",
    "lib/tools.js": """import { ONE } from './names.js';
// a comment
export function twice(n) {
  return n * (ONE + 1);
}
export class Box {
  constructor(value) {
    this.value = value;
  }
}
""",
    "names.js": """const hidden = 2;
export const ONE = 1;
export { hidden as two };
""",
    "worker.js": "import { ONE } from './names.js';\nconsole.log('worker', ONE);\n",
}


def test_the_script_does_what_the_modules_do() -> None:
    """Names, renamed names, namespaces and classes are there; so are texts over several lines."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("there is no node")
    script = bundle(MODULES, "main.js", "worker.js")
    run = script + "const [, [name, maker]] = WORKER_MODULES;\nconsole.log(name);\n"
    done = subprocess.run([node, "-e", run], capture_output=True, text=True, check=True)
    assert done.stdout == '[2,2,"a\\n  b"]\nmodule_worker_js\n'


def test_each_module_stands_in_it_once() -> None:
    """Also one that page and worker share; comments are left out."""
    script = bundle(MODULES, "main.js", "worker.js")
    assert script.count("const hidden = 2;") == 1
    assert not re.search("a comment|What runs|a text over", script)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("import './names.js';", "import './names.js';"),
        ("import names from './names.js';", "import names"),
        ("export default 1;", "export default 1;"),
        ("export const { a } = b;", "export const"),
        ("await start();", "await start();"),
        ("const env = import.meta.env;", "import.meta.env;"),
        ("import { a } from './absent.js';", "no module absent.js"),
        ("import { a } from './main.js';", "imports itself"),
    ],
)
def test_what_cannot_be_joined_is_refused(text: str, message: str) -> None:
    """With the line."""
    with pytest.raises(ConfigError, match=re.escape(message)):
        bundle({**MODULES, "main.js": text}, "main.js", "worker.js")
