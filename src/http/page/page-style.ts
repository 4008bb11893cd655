import { createHash } from 'node:crypto'
import { Html } from './html.ts'

/** One typeface, one size except for the verdict, lines instead of boxes. Contrasts meet WCAG AA in both colour schemes. */
const STYLE = `
:root{color-scheme:light dark;--paper:#fcfcfa;--ink:#1c1e21;--soft:#5a6069;--line:#e3e3de;--bar:#35708f;--hover:#35708f26;--good:#1f7a4d;--bad:#b3261e;--open:#7a4f00}
@media (prefers-color-scheme:dark){:root{--paper:#131517;--ink:#e5e7e9;--soft:#9aa2ab;--line:#2b2f33;--bar:#6aaccb;--hover:#6aaccb33;--good:#57c58a;--bad:#ff8b7d;--open:#e0b152}}
*{box-sizing:border-box}
body{margin:0 auto;padding:40px 24px 32px;max-width:1128px;background:var(--paper);color:var(--ink);font:14px/1.45 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif;font-variant-numeric:tabular-nums;-webkit-text-size-adjust:100%}
code{font:12.5px/1.45 ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace}
a{color:inherit}
:focus-visible{outline:2px solid var(--bar);outline-offset:2px}
header{margin-bottom:36px}
.product,.where,footer,small,.note,details p{color:var(--soft)}
.product,.where{margin:0}
h1{display:flex;align-items:center;gap:12px;margin:10px 0 8px;font-size:30px;line-height:1.2;font-weight:600;letter-spacing:-.01em}
.mark{width:28px;height:28px;flex:none;fill:var(--bad)}
.well .mark{fill:var(--good)}
.mark path{fill:none;stroke:var(--paper);stroke-width:2.6;stroke-linecap:round;stroke-linejoin:round}
.attention{margin:0 0 12px;padding:0 0 0 40px;list-style:none}
.attention li{margin:4px 0;overflow-wrap:anywhere}
section{margin-bottom:40px}
h2{margin:0 0 10px;font-size:14px;font-weight:600}
table{width:100%;border-collapse:collapse}
th,td{padding:7px 20px 7px 0;border-top:1px solid var(--line);text-align:left;vertical-align:top;font-weight:400}
th:last-child,td:last-child{padding-right:0}
thead th{padding-top:0;border-top:0;color:var(--soft);font-size:12.5px}
tbody th{font-weight:600}
small{display:block;font-size:12.5px;font-weight:400;overflow-wrap:anywhere}
.rule{padding-left:12px;text-indent:-12px}
b{font-weight:600}
.bad{color:var(--bad);white-space:nowrap}
.open{color:var(--open)}
.off{color:var(--soft)}
.word{white-space:nowrap}
time{white-space:nowrap}
.runs td{padding-top:3px;padding-bottom:3px}
.runs :is(th,td):is(:nth-child(4),:nth-child(5)){text-align:right;white-space:nowrap}
.runs td:nth-child(n+6){color:var(--soft)}
.runs td:nth-child(6){white-space:nowrap}
.runs td:nth-child(7){overflow-wrap:anywhere}
.why td{padding-top:0;border:0}
.chart{display:block;overflow:visible}
.chart text{fill:var(--ink);font-size:13px}
.chart .figures{fill:var(--soft);text-anchor:end;font-size:12.5px}
.chart .axis{fill:var(--soft);font-size:12px}
.chart path{fill:var(--bar)}
.base,.month{stroke:var(--line)}
.chart g rect{width:1px;height:100%;fill:transparent}
.chart g rect:hover{fill:var(--hover)}
.note{margin:4px 0 0;font-size:12.5px}
details{margin-top:8px}
summary{width:fit-content;color:var(--soft);cursor:pointer}
.scroll{overflow-x:auto;max-height:420px;overflow-y:auto}
.days{width:auto}
.days th,.days td{padding-top:3px;padding-bottom:3px;white-space:nowrap}
.days td,.days th+th{text-align:right}
.days tbody th{font-weight:400}
.beside{display:grid;grid-template-columns:repeat(auto-fill,minmax(400px,1fr));column-gap:40px}
.beside p{margin:0 0 8px}
dl{margin:0}
dl div{display:flex;justify-content:space-between;gap:12px;padding:4px 0;border-top:1px solid var(--line)}
dt{flex:none}
.holds dt{flex:1 1 50%;overflow-wrap:anywhere}
.holds dd{flex:1 1 50%}
dd{margin:0;color:var(--soft);text-align:right;overflow-wrap:anywhere}
footer{border-top:1px solid var(--line);padding-top:12px;font-size:12.5px}
footer p{margin:0}
@media (min-width:701px){
.jobs tbody th,.runs td:nth-child(2){white-space:nowrap}
.jobs tbody th small,.why td:nth-child(2){white-space:normal}
}
@media (max-width:700px){
body{padding:24px 16px}
h1{font-size:24px}
.wide{display:none}
.beside{display:block}
.jobs,.jobs tbody,.jobs tr,.jobs th,.jobs td{display:block}
.jobs thead{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
.jobs tr{padding:10px 0;border-top:1px solid var(--line)}
.jobs th,.jobs td{padding:1px 0;border:0}
.jobs td{display:grid;grid-template-columns:84px 1fr}
.jobs td::before{content:attr(data-title);color:var(--soft)}
.jobs td small{display:inline}
.jobs td small::before{content:" · "}
th,td{padding-right:10px}
.runs td{font-size:12.5px}
.runs :is(th,td):nth-child(4){padding-right:0}
.runs :is(th,td):nth-child(n+5){display:none}
}
`

/** As a browser computes it from everything between the tags. */
export const STYLE_HASH = `sha256-${createHash('sha256').update(STYLE).digest('base64')}`
export const STYLE_ELEMENT = new Html(`<style>${STYLE}</style>`)
