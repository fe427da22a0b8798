import "uplot/dist/uPlot.min.css";
import "./styles/tokens.css";
import "./styles/base.css";
import "./styles/layout.css";
import "./styles/parts.css";
import "./styles/login.css";
import "./styles/kiosk.css";
import "./styles/media.css";
import { render } from "preact";
import { App } from "./app";
import { startTheme } from "./lib/theme";
import { startRouter } from "./router";

const params = new URLSearchParams(location.search);
const kiosk = params.get("kiosk") === "1";
startTheme(params, kiosk ? "dark" : "auto");
startRouter();
const root = document.getElementById("app");
if (root !== null) render(<App kiosk={kiosk} />, root);
