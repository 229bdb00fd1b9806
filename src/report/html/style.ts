/** How the page looks, in light and dark, on screens of any width. It stands in the page itself, and its hash in the policy. */
export const style = `:root {
  color-scheme: light dark;
  --page: #ffffff; --card: #f5f6f8; --text: #1a1d21; --faint: #59616b; --line: #d5d9df; --link: #0b57a8;
  --before: #0b62a8; --after: #b3480b; --good: #1a6b35; --warn: #8a5000;
  --clip-0: #b3480b; --clip-1: #7a3ea8; --clip-2: #1a6b35;
  --heat-0: #eef3fa; --heat-1: #d3e2f2; --heat-2: #aecbe6; --heat-3: #7fafd8; --heat-4: #4f8fc6; --heat-5: #2a6fad;
  --heat-6: #124f8c; --heat-7: #08305c;
  --ink-0: #1a1d21; --ink-1: #1a1d21; --ink-2: #1a1d21; --ink-3: #1a1d21; --ink-4: #000000; --ink-5: #ffffff;
  --ink-6: #ffffff; --ink-7: #ffffff;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #15181c; --card: #1f242a; --text: #e8ebef; --faint: #a5adb8; --line: #3a424c; --link: #8abdf5;
    --before: #6cb2f0; --after: #f2a35e; --good: #7fd39a; --warn: #f0c060;
    --clip-0: #f2a35e; --clip-1: #cba3ee; --clip-2: #7fd39a;
    --heat-0: #1d242d; --heat-1: #1c3047; --heat-2: #1d4266; --heat-3: #215889; --heat-4: #2f74ae; --heat-5: #5495cd;
    --heat-6: #8fbde5; --heat-7: #d4e8fa;
    --ink-0: #e8ebef; --ink-1: #e8ebef; --ink-2: #ffffff; --ink-3: #ffffff; --ink-4: #ffffff; --ink-5: #000000;
    --ink-6: #000000; --ink-7: #000000;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--text); font: 16px/1.5 system-ui, sans-serif; }
header, main, footer, nav { max-width: 68rem; margin: 0 auto; padding: 0 1rem; }
header { padding-top: 1.5rem; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0; overflow-wrap: anywhere; }
h2 { font-size: 1.25rem; margin: 2.5rem 0 0.25rem; scroll-margin-top: 1rem; }
h3 { font-size: 1rem; margin: 1.5rem 0 0.25rem; }
p { margin: 0.4rem 0; max-width: 48rem; }
a { color: var(--link); }
code { font: 0.88em ui-monospace, monospace; overflow-wrap: anywhere; }
pre { background: var(--card); padding: 0.5rem 0.75rem; border-radius: 6px; overflow-x: auto; margin: 0.4rem 0; }
.faint, caption, figcaption { color: var(--faint); }
.skip { position: absolute; left: -100rem; }
.skip:focus { left: 1rem; top: 0.5rem; background: var(--page); padding: 0.25rem 0.5rem; }
:focus-visible { outline: 3px solid var(--link); outline-offset: 2px; }
nav ul { display: flex; flex-wrap: wrap; gap: 0.25rem 1rem; padding: 0; margin: 1rem 0 0; list-style: none; }
.facts { display: grid; grid-template-columns: repeat(auto-fill, minmax(10.5rem, 1fr)); gap: 0.75rem; margin: 1.25rem 0 0; }
.facts div { background: var(--card); border-radius: 6px; padding: 0.6rem 0.75rem; }
.facts dt { color: var(--faint); font-size: 0.85rem; }
.facts dd { margin: 0; font-size: 1.2rem; font-weight: 600; overflow-wrap: anywhere; }
.scroll { overflow-x: auto; max-height: 32rem; overflow-y: auto; border: 1px solid var(--line); border-radius: 6px; margin: 0.75rem 0; }
.plot { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 0.88rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; padding: 0.4rem 0.6rem; }
th, td { text-align: left; vertical-align: top; padding: 0.3rem 0.6rem; border-top: 1px solid var(--line); }
tbody th { font-weight: 500; overflow-wrap: anywhere; min-width: 9rem; }
td { overflow-wrap: anywhere; }
td.long { min-width: 16rem; }
.number { text-align: right; white-space: nowrap; }
thead th { position: sticky; top: 0; background: var(--card); white-space: nowrap; }
thead button { all: unset; cursor: pointer; font-weight: 600; padding: 0.1rem 0; }
thead button:focus-visible { outline: 3px solid var(--link); outline-offset: 2px; }
thead button::after { content: " \\2195"; color: var(--faint); }
th[aria-sort="ascending"] button::after { content: " \\2191"; color: inherit; }
th[aria-sort="descending"] button::after { content: " \\2193"; color: inherit; }
.filter { display: flex; flex-wrap: wrap; gap: 0.5rem 1rem; align-items: center; margin: 0.75rem 0 0; }
.filter[hidden] { display: none; }
input, select { font: inherit; color: inherit; background: var(--page); border: 1px solid var(--faint); border-radius: 4px; padding: 0.2rem 0.4rem; max-width: 100%; }
.verdict { white-space: nowrap; font-weight: 600; }
.good { color: var(--good); }
.warn { color: var(--warn); }
figure { margin: 1rem 0; }
figcaption { font-size: 0.88rem; margin-bottom: 0.25rem; max-width: 48rem; }
figure svg { display: block; height: auto; overflow: visible; }
figure svg text { white-space: pre; }
.grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(19rem, 1fr)); gap: 0.75rem 1.25rem; }
.grid figure { margin: 0; min-width: 0; }
.grid figcaption { overflow-wrap: anywhere; }
.grid svg { max-width: 100%; }
.key { display: flex; flex-wrap: wrap; gap: 0.25rem 1.25rem; font-size: 0.88rem; padding: 0; margin: 0.5rem 0; list-style: none; }
.key svg { display: inline-block; vertical-align: middle; margin-right: 0.35rem; }
details { margin: 0.5rem 0; }
summary { cursor: pointer; color: var(--link); }
footer { padding: 2rem 1rem; color: var(--faint); font-size: 0.88rem; }
@media print { .scroll { max-height: none; } .filter { display: none; } }
`
