// Interim reader and writer: whole file in memory. To be replaced by the streaming file layer.
import { readFileSync } from 'node:fs'
import { malformed } from '../errors.ts'
import type { Attribute } from '../ir/index.ts'
import { byteSize, dtypes, Graph, Model, type Node, OwnedPayload, Tensor, type Value, type ValueType } from '../ir/index.ts'
import { elementsToBytes } from '../ir/elements.ts'

const utf8 = new TextDecoder('utf-8')
const enc = new TextEncoder()
interface F { no: number; wt: number; v: number | bigint; s: number; e: number }
function* fields(b: Uint8Array, s = 0, e = b.length): Generator<F> {
  let p = s
  const varint = (): bigint => {
    let r = 0n, sh = 0n
    for (;;) {
      if (p >= e) throw malformed('truncated varint', { offset: p })
      const c = b[p++] as number
      r |= BigInt(c & 127) << sh
      if (c < 128) return BigInt.asIntN(64, r)
      sh += 7n
    }
  }
  while (p < e) {
    const t = Number(varint()), no = t >>> 3, wt = t & 7
    if (wt === 0) { const v = varint(); yield { no, wt, v, s: p, e: p } }
    else if (wt === 2) { const n = Number(varint()); if (n < 0 || p + n > e) throw malformed('length past the end', { offset: p }); yield { no, wt, v: 0, s: p, e: p + n }; p += n }
    else if (wt === 5) { yield { no, wt, v: 0, s: p, e: p + 4 }; p += 4 }
    else if (wt === 1) { yield { no, wt, v: 0, s: p, e: p + 8 }; p += 8 }
    else throw malformed('bad wire type', { offset: p })
  }
}
const str = (b: Uint8Array, f: F) => utf8.decode(b.subarray(f.s, f.e))
const num = (f: F) => Number(f.v)
function ints(b: Uint8Array, f: F): (number | bigint)[] {
  const safe = (x: bigint) => (x >= -9007199254740991n && x <= 9007199254740991n ? Number(x) : x)
  if (f.wt === 0) return [safe(BigInt(f.v))]
  const out: (number | bigint)[] = []
  let p = f.s
  while (p < f.e) { let r = 0n, sh = 0n; for (;;) { const c = b[p++] as number; r |= BigInt(c & 127) << sh; if (c < 128) break; sh += 7n } out.push(safe(BigInt.asIntN(64, r))) }
  return out
}
function floats(b: Uint8Array, f: F, w = 4): number[] {
  const v = new DataView(b.buffer, b.byteOffset + f.s, f.e - f.s), out: number[] = []
  for (let i = 0; i + w <= f.e - f.s; i += w) out.push(w === 4 ? v.getFloat32(i, true) : v.getFloat64(i, true))
  return out
}
function readTensor(b: Uint8Array, s: number, e: number): Tensor {
  const dims: number[] = []; let dtype = 0, name = '', raw: Uint8Array | undefined
  const vals: (number | bigint)[] = [], strs: Uint8Array[] = []
  for (const f of fields(b, s, e)) {
    if (f.no === 1) dims.push(...ints(b, f).map(Number))
    else if (f.no === 2) dtype = num(f)
    else if (f.no === 8) name = str(b, f)
    else if (f.no === 9) raw = b.subarray(f.s, f.e)
    else if (f.no === 4) vals.push(...floats(b, f))
    else if (f.no === 10) vals.push(...floats(b, f, 8))
    else if (f.no === 5 || f.no === 7 || f.no === 11) vals.push(...ints(b, f))
    else if (f.no === 6) strs.push(b.slice(f.s, f.e))
  }
  const payload = dtype === dtypes.string ? undefined : new OwnedPayload(raw ?? (dtype === dtypes.float16 || dtype === dtypes.bfloat16 ? elementsToBytes(dtypes.uint16, vals) : vals.length ? elementsToBytes(dtype, vals) : new Uint8Array(byteSize(dtype, 0) ?? 0)))
  return new Tensor({ dtype, dims, name, payload, strings: strs.length || dtype === dtypes.string ? () => strs : undefined, origin: b.slice(s, e) })
}
function readType(b: Uint8Array, s: number, e: number): ValueType {
  for (const f of fields(b, s, e)) if (f.no === 1) {
    let dtype = 0, shape: (number | string | undefined)[] | undefined
    for (const g of fields(b, f.s, f.e)) {
      if (g.no === 1) dtype = num(g)
      if (g.no === 2) { shape = []; for (const d of fields(b, g.s, g.e)) { let v: number | string | undefined; for (const x of fields(b, d.s, d.e)) { if (x.no === 1) v = num(x); if (x.no === 2) v = str(b, x) } shape.push(v) } }
    }
    return { kind: 'tensor', dtype, shape }
  }
  return { kind: 'opaque', origin: b.slice(s, e) }
}
function readAttribute(b: Uint8Array, s: number, e: number, graph: Graph, graphs: Map<number, Graph>): [string, Attribute] {
  let name = '', type = 0, ref = ''
  const got: F[] = []
  for (const f of fields(b, s, e)) { if (f.no === 1) name = str(b, f); else if (f.no === 20) type = num(f); else if (f.no === 21) ref = str(b, f); else got.push(f) }
  const all = (no: number) => got.filter((f) => f.no === no), one = (no: number) => got.findLast((f) => f.no === no)
  if (ref) return [name, { kind: 'ref', name: ref, type }]
  const f = (no: number) => one(no) as F
  switch (type) {
    case 1: return [name, { kind: 'float', value: one(2) ? (floats(b, f(2))[0] as number) : 0 }]
    case 2: return [name, { kind: 'int', value: one(3) ? (ints(b, f(3))[0] as number) : 0 }]
    case 3: return [name, { kind: 'string', value: one(4) ? str(b, f(4)) : '' }]
    case 4: return [name, { kind: 'tensor', value: readTensor(b, f(5).s, f(5).e) }]
    case 5: return [name, { kind: 'graph', value: graphs.get(f(6).s) ?? readGraph(b, f(6).s, f(6).e, graph) }]
    case 6: return [name, { kind: 'floats', value: all(7).flatMap((x) => floats(b, x)) }]
    case 7: return [name, { kind: 'ints', value: all(8).flatMap((x) => ints(b, x)) }]
    case 8: return [name, { kind: 'strings', value: all(9).map((x) => str(b, x)) }]
    case 9: return [name, { kind: 'tensors', value: all(10).map((x) => readTensor(b, x.s, x.e)) }]
    case 10: return [name, { kind: 'graphs', value: all(11).map((x) => graphs.get(x.s) ?? readGraph(b, x.s, x.e, graph)) }]
    default: return [name, { kind: 'opaque', origin: b.slice(s, e) }]
  }
}
function readNode(b: Uint8Array, s: number, e: number, graph: Graph): void {
  const ins: string[] = [], outs: string[] = [], at: F[] = []
  let name = '', opType = '', domain = '', doc = '', overload = ''
  const meta = new Map<string, string>()
  for (const f of fields(b, s, e)) {
    if (f.no === 1) ins.push(str(b, f)); else if (f.no === 2) outs.push(str(b, f)); else if (f.no === 3) name = str(b, f)
    else if (f.no === 4) opType = str(b, f); else if (f.no === 5) at.push(f); else if (f.no === 6) doc = str(b, f); else if (f.no === 7) domain = str(b, f)
    else if (f.no === 8) overload = str(b, f); else if (f.no === 9) { const [k, v] = pair(b, f); meta.set(k, v) }
  }
  const graphs = new Map<number, Graph>()
  for (const a of at) for (const f of fields(b, a.s, a.e)) if (f.no === 6 || f.no === 11) graphs.set(f.s, readGraph(b, f.s, f.e, graph))
  const resolve = (n: string): Value | undefined => (n === '' ? undefined : (graph.resolve(n) ?? graph.value(n)))
  graph.load(
    { name, opType, domain, overload, docString: doc, metadata: meta, subgraphs: [...graphs.values()], origin: b.subarray(s, e), attributes: () => new Map(at.map((f) => readAttribute(b, f.s, f.e, graph, graphs))) },
    ins.map(resolve), outs.map((n) => (n === '' ? undefined : graph.value(n))),
  )
}
function pair(b: Uint8Array, f: F): [string, string] {
  let k = '', v = ''
  for (const g of fields(b, f.s, f.e)) { if (g.no === 1) k = str(b, g); if (g.no === 2) v = str(b, g) }
  return [k, v]
}
function readGraph(b: Uint8Array, s: number, e: number, parent?: Graph, into = new Graph()): Graph {
  // A nested graph must see its parent while it is read: a stand-in owner until the node exists.
  if (parent) Object.defineProperty(into, 'parent', { configurable: true, get: () => parent })
  const all = [...fields(b, s, e)]
  for (const f of all) {
    if (f.no === 2) into.name = str(b, f)
    if (f.no === 10) into.docString = str(b, f)
    if (f.no === 5) { const t = readTensor(b, f.s, f.e); into.value(t.name).loadInitializer(t, t.origin) }
    if (f.no === 11 || f.no === 12 || f.no === 13) {
      let name = '', type: ValueType | undefined
      for (const g of fields(b, f.s, f.e)) { if (g.no === 1) name = str(b, g); if (g.no === 2) type = readType(b, g.s, g.e) }
      if (f.no === 11) { const v = into.value(name); v.load(type, b.slice(f.s, f.e)); into.addInput(v) }
    }
  }
  for (const f of all) if (f.no === 1) readNode(b, f.s, f.e, into)
  let o = 0
  for (const f of all) if (f.no === 12 || f.no === 13) {
    let name = '', type: ValueType | undefined
    for (const g of fields(b, f.s, f.e)) { if (g.no === 1) name = str(b, g); if (g.no === 2) type = readType(b, g.s, g.e) }
    if (f.no === 12) { const v = into.resolve(name) ?? into.value(name); if (v.graph === into) v.load(type, b.slice(f.s, f.e)); into.loadOutput(o++, v) }
    else if (into.values.has(name)) into.value(name).load(type, b.slice(f.s, f.e))
  }
  return into
}
export function openModel(input: string | Uint8Array): Model {
  const b = typeof input === 'string' ? new Uint8Array(readFileSync(input)) : input
  const m = new Model(), imports = new Map<string, number>(), meta = new Map<string, string>()
  for (const f of fields(b)) {
    if (f.no === 1) m.irVersion = num(f); if (f.no === 2) m.producerName = str(b, f); if (f.no === 3) m.producerVersion = str(b, f)
    if (f.no === 8) { let d = '', v = 0; for (const g of fields(b, f.s, f.e)) { if (g.no === 1) d = str(b, g); if (g.no === 2) v = num(g) } imports.set(d === 'ai.onnx' ? '' : d, v) }
    if (f.no === 14) { const [k, v] = pair(b, f); meta.set(k, v) }
    if (f.no === 7) readGraph(b, f.s, f.e, undefined, m.graph)
    if (f.no === 25) {
      const fn = { domain: '', name: '', overload: '', attributes: [] as string[], defaults: new Map<string, Attribute>(), opsetImports: new Map<string, number>(), body: new Graph(), model: m, origin: b.slice(f.s, f.e), edited: false }
      for (const g of fields(b, f.s, f.e)) {
        if (g.no === 1) fn.name = str(b, g); if (g.no === 10) fn.domain = str(b, g); if (g.no === 6) fn.attributes.push(str(b, g))
        if (g.no === 9) { let d = '', v = 0; for (const h of fields(b, g.s, g.e)) { if (h.no === 1) d = str(b, h); if (h.no === 2) v = num(h) } fn.opsetImports.set(d === 'ai.onnx' ? '' : d, v) }
        if (g.no === 4) fn.body.addInput(fn.body.value(str(b, g)))
      }
      for (const g of fields(b, f.s, f.e)) if (g.no === 7) readNode(b, g.s, g.e, fn.body)
      let o = 0
      for (const g of fields(b, f.s, f.e)) { if (g.no === 5) fn.body.loadOutput(o++, fn.body.value(str(b, g))); if (g.no === 11) { const [k, a] = readAttribute(b, g.s, g.e, fn.body, new Map()); fn.defaults.set(k, a) } }
      fn.body.owner = fn
      m.functions.push(fn)
    }
  }
  m.load(imports, meta)
  return m
}
export function closeModel(_model: Model): void {}
class W {
  parts: Uint8Array[] = []; n = 0
  raw(x: Uint8Array) { this.parts.push(x); this.n += x.length; return this }
  varint(x: number | bigint) { let v = BigInt.asUintN(64, BigInt(x)); const o: number[] = []; while (v > 127n) { o.push(Number(v & 127n) | 128); v >>= 7n } o.push(Number(v)); return this.raw(Uint8Array.from(o)) }
  tag(no: number, wt: number) { return this.varint(no * 8 + wt) }
  int(no: number, x: number | bigint) { return this.tag(no, 0).varint(x) }
  bytes(no: number, x: Uint8Array) { return this.tag(no, 2).varint(x.length).raw(x) }
  str(no: number, x: string) { return this.bytes(no, enc.encode(x)) }
  f32(no: number, x: number) { return this.tag(no, 5).raw(elementsToBytes(dtypes.float, [x])) }
  done() { const o = new Uint8Array(this.n); let p = 0; for (const x of this.parts) { o.set(x, p); p += x.length } return o }
}
function wTensor(t: Tensor): Uint8Array {
  if (t.origin instanceof Uint8Array) return t.origin
  const w = new W(); for (const d of t.dims) w.int(1, d); w.int(2, t.dtype); if (t.name) w.str(8, t.name)
  if (t.strings) for (const s of t.strings()) w.bytes(6, s); else if (t.payload) w.bytes(9, t.payload.read(0, t.payload.byteLength))
  return w.done()
}
function wAttr(name: string, a: Attribute): Uint8Array {
  if (a.kind === 'opaque') return a.origin as Uint8Array
  const w = new W().str(1, name)
  switch (a.kind) {
    case 'float': return w.f32(2, a.value).int(20, 1).done()
    case 'int': return w.int(3, a.value).int(20, 2).done()
    case 'string': return w.str(4, a.value).int(20, 3).done()
    case 'tensor': return w.bytes(5, wTensor(a.value)).int(20, 4).done()
    case 'graph': return w.bytes(6, wGraph(a.value)).int(20, 5).done()
    case 'floats': for (const x of a.value) w.f32(7, x); return w.int(20, 6).done()
    case 'ints': for (const x of a.value) w.int(8, x); return w.int(20, 7).done()
    case 'strings': for (const x of a.value) w.str(9, x); return w.int(20, 8).done()
    case 'tensors': for (const x of a.value) w.bytes(10, wTensor(x)); return w.int(20, 9).done()
    case 'graphs': for (const x of a.value) w.bytes(11, wGraph(x)); return w.int(20, 10).done()
    case 'ref': return w.str(21, a.name).int(20, a.type).done()
  }
}
function wNode(n: Node): Uint8Array {
  const w = new W(); for (const v of n.inputs) w.str(1, v?.name ?? ''); for (const v of n.outputs) w.str(2, v?.name ?? '')
  if (n.name) w.str(3, n.name); w.str(4, n.opType); for (const [k, a] of n.attributes) w.bytes(5, wAttr(k, a))
  if (n.docString) w.str(6, n.docString); if (n.domain) w.str(7, n.domain); if (n.overload) w.str(8, n.overload)
  for (const [k, v] of n.metadata) w.bytes(9, new W().str(1, k).str(2, v).done())
  return w.done()
}
function wInfo(v: Value): Uint8Array {
  if (!v.edited && v.origin instanceof Uint8Array) return v.origin
  const w = new W().str(1, v.name), t = v.type
  if (t?.kind === 'tensor') {
    const tt = new W().int(1, t.dtype)
    if (t.shape) { const s = new W(); for (const d of t.shape) s.bytes(1, typeof d === 'number' ? new W().int(1, d).done() : typeof d === 'string' ? new W().str(2, d).done() : new Uint8Array()); tt.bytes(2, s.done()) }
    w.bytes(2, new W().bytes(1, tt.done()).done())
  } else if (t) w.bytes(2, t.origin as Uint8Array)
  return w.done()
}
function wGraph(g: Graph): Uint8Array {
  const w = new W()
  for (const n of g.nodes()) w.bytes(1, n.edited || !(n.origin instanceof Uint8Array) || n.subgraphs.some((s) => s.edited) ? wNode(n) : n.origin)
  if (g.name) w.str(2, g.name)
  for (const v of g.values.values()) if (v.initializer) w.bytes(5, wTensor(v.initializer.name === v.name ? v.initializer : v.initializer.named(v.name)))
  if (g.docString) w.str(10, g.docString)
  for (const v of g.inputs) w.bytes(11, wInfo(v)); for (const v of g.outputs) w.bytes(12, wInfo(v))
  for (const v of g.values.values()) if (v.type && !v.isInput && !g.outputs.includes(v) && (v.producer || v.initializer)) w.bytes(13, wInfo(v))
  return w.done()
}
export function modelToBytes(m: Model): Uint8Array {
  const w = new W().int(1, m.irVersion)
  if (m.producerName) w.str(2, m.producerName); if (m.producerVersion) w.str(3, m.producerVersion)
  w.bytes(7, wGraph(m.graph))
  for (const [d, v] of m.opsetImports) w.bytes(8, new W().str(1, d).int(2, v).done())
  for (const [k, v] of m.metadata) w.bytes(14, new W().str(1, k).str(2, v).done())
  for (const f of m.functions) {
    if (!f.edited && !f.body.edited && f.origin instanceof Uint8Array) { w.bytes(25, f.origin); continue }
    const x = new W().str(1, f.name); for (const v of f.body.inputs) x.str(4, v.name); for (const v of f.body.outputs) x.str(5, v.name); for (const a of f.attributes) x.str(6, a)
    for (const n of f.body.nodes()) x.bytes(7, wNode(n)); for (const [d, v] of f.opsetImports) x.bytes(9, new W().str(1, d).int(2, v).done()); x.str(10, f.domain)
    for (const [k, a] of f.defaults) x.bytes(11, wAttr(k, a)); if (f.overload) x.str(13, f.overload)
    w.bytes(25, x.done())
  }
  return w.done()
}
