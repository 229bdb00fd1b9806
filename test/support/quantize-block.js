// The part of the README that test/quantize-demo.js writes.

const [start, end] = ['<!-- quantize-demo -->', '<!-- /quantize-demo -->']

/**
 * What was done and measured, as the README says it.
 *
 * @param {{ screen: string, seconds: number, bytes: number[], texts: number, cosine: number[], neighbours: number, speed: number }} measured
 */
export function blockOf({ screen, seconds, bytes, texts, cosine, neighbours, speed }) {
  const [before, after] = bytes.map((size) => `${(size / 1e6).toFixed(1)} MB`)
  return `\`\`\`console
$ npx outeffhop-convert quantize model.onnx --data constitution.txt --tokenizer tokenizer.json -o model.int8.onnx
${screen.trimEnd()}
\`\`\`

| measured on ${texts} sentences of another text | |
| --- | --- |
| size | ${before} → ${after} |
| time of one thread | ${speed.toFixed(1)} times as fast |
| cosine to the embedding of the float model, mean / worst | ${cosine.map((each) => each.toFixed(4)).join(' / ')} |
| same nearest neighbour | ${neighbours} of ${texts} |
| the command took | ${Math.round(seconds)} s |`
}

/** @param {string} readme @param {string} block */
export function withBlock(readme, block) {
  const [head, rest] = split(readme)
  return `${head}${start}\n${block}\n${end}${rest}`
}

/** What stands between the markers. @param {string} readme */
export function blockIn(readme) {
  return readme.slice(readme.indexOf(start) + start.length, readme.indexOf(end)).trim()
}

/** @param {string} readme */
function split(readme) {
  const [from, to] = [readme.indexOf(start), readme.indexOf(end)]
  if (from < 0 || to < from) throw new Error(`README.md has no ${start} … ${end}`)
  return [readme.slice(0, from), readme.slice(to + end.length)]
}
