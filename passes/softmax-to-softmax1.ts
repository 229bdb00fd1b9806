import { changesMaths, definePass, insertSoftmax1, removeDead } from '../src/rewrite/index.ts'

/**
 * Replaces the softmax of every attention site by Softmax1 with the site's sink, whatever its spelling.
 *
 * This is the pass that changes the maths: p_i = exp(x_i) / (exp(s) + Σ exp(x_j)). The probabilities keep their name and
 * all their readers; every other softmax gets its verdict in the report and stays.
 */
export const softmaxToSoftmax1 = definePass({
  name: 'softmax-to-softmax1',
  stage: 'hopfield',
  summary: 'Normalise attention with Softmax1 instead of softmax.',
  effect: changesMaths,
  run(_model, { sites, sink, report }) {
    let changed = 0
    for (const site of sites) {
      const entry = report.add(site)
      if (site.verdict.kind !== 'attention') continue
      entry.sink = sink(site)
      const node = insertSoftmax1(site, entry.sink)
      removeDead(site.nodes)
      entry.converted = true
      changed++
      for (const note of site.notes) report.warn('site-note', note, { node: node.label, graph: site.graphPath })
    }
    return changed
  },
})
