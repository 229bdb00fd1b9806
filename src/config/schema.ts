import { configurable } from './configurable.ts'
import type { Flag, FlagTable } from './flag.ts'
import { keyOf } from './flag.ts'

/** The JSON Schema (draft 2020-12) of a config file. */
export function configSchema(): object {
  const entries = Object.entries(configurable).map(
    ([command, flags]) => [command, entrySchema(command, flags)] as const,
  )
  const anyEntry = { oneOf: entries.map(([command]) => ({ $ref: `#/$defs/${command}` })) }
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: 'Config of outeffhop-convert',
    description: 'One entry for each model, or one for every model.',
    oneOf: [...anyEntry.oneOf, { type: 'array', items: anyEntry, minItems: 1 }],
    $defs: Object.fromEntries(entries),
  }
}

function entrySchema(command: string, flags: FlagTable): object {
  const isDefault = command === 'convert'
  return {
    type: 'object',
    additionalProperties: false,
    required: isDefault ? [] : ['command'],
    properties: {
      $schema: { type: 'string' },
      command: { const: command },
      model: { type: 'string', description: 'The ONNX file; without it, the settings are for every model.' },
      ...Object.fromEntries(Object.entries(flags).map(([name, flag]) => [keyOf(name), valueSchema(flag)])),
    },
  }
}

function valueSchema({ type = 'string', array, choices, describe, onByDefault }: Flag): object {
  // Texts that may be numbers are read as texts: `sinks: -2`.
  const one = choices !== undefined ? { enum: choices } : { type: type === 'string' ? ['string', 'number'] : type }
  const described = describe === undefined ? {} : { description: onByDefault ? `false: ${describe}` : describe }
  return array ? { type: 'array', items: one, ...described } : { ...one, ...described }
}
