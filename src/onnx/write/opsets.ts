import type { Fields, Patch } from '../../wire/index.ts'
import { delimited, intField, stringField, Patch as WirePatch, wireType } from '../../wire/index.ts'
import { opsetOf } from '../read/model.ts'
import { schema } from '../schema.ts'

const O = schema.OperatorSet

/** Brings the opset imports of a model or function up to date. */
export function patchOpsets(
  patch: Patch,
  fields: Fields | undefined,
  number: number,
  imports: ReadonlyMap<string, number>,
): void {
  const left = new Map(imports)
  for (const index of patch.indices(number)) {
    if (!fields) continue
    const { domain, version } = opsetOf(fields.field(index))
    const now = imports.get(domain)
    left.delete(domain)
    if (now === undefined) patch.replace(index)
    else if (now !== version) {
      const inner = new WirePatch(fields.inside(index))
      inner.single(O.version, intField(O.version, now), wireType.varint)
      patch.replace(index, delimited(number, inner.pieces()))
    }
  }
  for (const [domain, version] of left) {
    patch.add(number, delimited(number, [stringField(O.domain, domain), intField(O.version, version)]))
  }
}
