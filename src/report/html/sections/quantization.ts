import type { QuantizationEntry } from '../../quantization.ts'
import type { Markup } from '../markup.ts'
import { html } from '../markup.ts'
import type { Section } from '../section.ts'
import { table } from '../table.ts'

export const quantization: Section = {
  id: 'quantization',
  title: 'What is quantized, and what is not',
  missing: (model) => `outeffhop-convert quantize ${model} --data DATA --report report.html`,
  body({ quantization }) {
    if (quantization === null) return undefined
    const { recipe, quantized, float, products, choice } = quantization
    return html`<p>Recipe <code>${recipe}</code>: ${quantized} products with a weight are quantized, ${float} stay in float.</p>
${choice.tried.length > 0 && tried(quantization)}
${table({
  id: 'products',
  caption: 'Every product with a weight, and why it is in float',
  rows: products,
  filter: { label: 'Outcome', column: 2 },
  columns: [
    { title: 'Node', of: ({ node }) => node, show: ({ node }) => html`<code>${node}</code>` },
    { title: 'Operator', of: ({ op }) => op },
    { title: 'Outcome', of: (product) => (product.quantized ? 'quantized' : 'float') },
    { title: 'Reason', of: ({ reason, notes }) => [reason ?? '', ...notes].filter((word) => word !== '').join('; ') },
  ],
})}`
  },
}

function tried({ choice, recipe }: QuantizationEntry): Markup {
  return table({
    id: 'recipes',
    caption: 'Recipes that were tried on part of the data',
    rows: choice.tried,
    columns: [
      { title: 'Recipe', of: (attempt) => attempt.recipe },
      { title: 'Taken', of: (attempt) => (attempt.recipe === recipe ? 'yes' : '') },
      { title: 'Products', of: ({ quantized }) => quantized },
      {
        title: 'Mean cosine',
        of: ({ cosineMean }) => cosineMean,
        show: ({ cosineMean }) => cosineMean?.toFixed(6) ?? '–',
      },
      { title: 'SQNR (dB)', of: ({ sqnrDb }) => sqnrDb },
    ],
  })
}
