import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Piece, Source } from '../src/wire/index.ts'
import {
  Budget,
  BytesSource,
  bytesField,
  bytesPiece,
  decodeText,
  delimited,
  emit,
  encodeText,
  Fields,
  FileSink,
  FileSource,
  intField,
  MemorySink,
  Patch,
  Scan,
  stringField,
  textOfRange,
  totalSize,
} from '../src/wire/index.ts'
import { fixed32, fixed64, group, int, len, tag } from './support/proto-bytes.ts'

const bytesOf = (pieces: readonly Piece[], step?: number): Buffer => {
  const sink = new MemorySink(totalSize(pieces))
  for (const _ of emit(pieces, sink, step));
  return sink.bytes
}
const fieldsOf = (source: Source) => new Fields(source, 0, source.size, new Budget(1e6))

describe('text', () => {
  it('is decoded as UTF-8 and encoded again without a loss, whatever the bytes are', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
        expect(Buffer.from(encodeText(decodeText(bytes))).equals(Buffer.from(bytes))).toBe(true)
      }),
      { numRuns: 500, seed: 1 },
    )
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        expect(decodeText(Buffer.from(text))).toBe(text)
      }),
      { numRuns: 1000, seed: 1 },
    )
  })

  it.each<[string, number[], string]>([
    ['a stray continuation', [0x61, 0x80, 0x62], 'a\udc80b'],
    ['an overlong slash', [0xc0, 0xaf], '\udcc0\udcaf'],
    ['a surrogate written as a character', [0xed, 0xa0, 0x80], '\udced\udca0\udc80'],
    ['a broken off character', [0xe2, 0x82], '\udce2\udc82'],
    ['a character beyond the planes', [0xf4, 0x90, 0x80, 0x80], '\udcf4\udc90\udc80\udc80'],
    ['good characters around bad bytes', [0xc3, 0xa9, 0xff, 0xf0, 0x9f, 0x98, 0x80], 'é\udcff😀'],
  ])('%s keeps its bytes apart', (_, bytes, text) => {
    expect(decodeText(Uint8Array.from(bytes))).toBe(text)
    expect([...encodeText(text)]).toEqual(bytes)
  })

  it('of two names that differ in a bad byte stays two', () => {
    expect(decodeText(Uint8Array.of(0xff))).not.toBe(decodeText(Uint8Array.of(0xfe)))
  })
})

/** Any field, as bytes. */
const field = (): fc.Arbitrary<Buffer> => {
  const number = fc.oneof(fc.integer({ min: 1, max: 30 }), fc.constantFrom(15, 16, 2047, 2048, 536870911))
  return fc.oneof(
    fc.tuple(number, fc.bigInt({ min: 0n, max: 2n ** 64n - 1n })).map(([n, v]) => int(n, v)),
    fc.tuple(number, fc.uint8Array({ maxLength: 300 })).map(([n, b]) => len(n, b)),
    number.map((n) => fixed32(n, [1, 2, 3, 4])),
    number.map((n) => fixed64(n, [1, 2, 3, 4, 5, 6, 7, 8])),
    fc.tuple(number, number).map(([n, m]) => group(n, int(m, 1), group(m), len(m, 'x'))),
  )
}

describe('fields', () => {
  it('lie one behind the other, as they were written', () => {
    fc.assert(
      fc.property(fc.array(field(), { maxLength: 20 }), (parts) => {
        const fields = fieldsOf(new BytesSource(Buffer.concat(parts)))
        let at = 0
        expect(fields.count).toBe(parts.length)
        for (const [i, part] of parts.entries()) {
          expect([fields.startOf(i), fields.endOf(i)]).toEqual([at, at + part.length])
          at += part.length
        }
      }),
      { numRuns: 500, seed: 1 },
    )
  })

  it('have the integers that were written', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), (value) => {
        const bytes = int(1, value)
        const scan = new Scan(new BytesSource(bytes), 0, bytes.length)
        expect(scan.next()).toBe(true)
        expect(BigInt(scan.int)).toBe(value)
        expect(typeof scan.int).toBe(Number.isSafeInteger(Number(value)) ? 'number' : 'bigint')
        expect(bytesOf([intField(1, scan.int)]).equals(bytes)).toBe(true)
      }),
      { numRuns: 1000, seed: 1 },
    )
  })

  it('may have padded numbers', () => {
    const bytes = Buffer.concat([
      tag(1, 0),
      Buffer.from([0x81, 0x80, 0x80, 0x00]),
      Buffer.from([0x92, 0x00, 0x01, 0x61]),
    ])
    const scan = new Scan(new BytesSource(bytes), 0, bytes.length)
    expect([scan.next(), scan.int]).toEqual([true, 1])
    expect([scan.next(), scan.number, scan.end - scan.body]).toEqual([true, 2, 1])
    expect(scan.next()).toBe(false)
  })
})

describe('a patch', () => {
  const old = [int(1, 1), len(2, 'a'), int(9, 9), len(2, 'b'), len(4, 'c')]
  const source = new BytesSource(Buffer.concat(old))
  const result = (edit: (patch: Patch) => void): string => {
    const patch = new Patch(fieldsOf(source))
    edit(patch)
    return bytesOf(patch.pieces()).toString('hex')
  }
  const hex = (...parts: Uint8Array[]) => Buffer.concat(parts).toString('hex')

  it('without edits is the message, as one range', () => {
    const patch = new Patch(fieldsOf(source))
    expect(patch.untouched).toBe(true)
    expect(patch.pieces()).toEqual([{ kind: 'range', size: source.size, source, start: 0 }])
  })

  it('replaces, drops, inserts and adds where it says', () => {
    const [one, a, nine, b, c] = old as [Buffer, Buffer, Buffer, Buffer, Buffer]
    expect(result((p) => p.replace(1, stringField(2, 'A')))).toBe(hex(one, len(2, 'A'), nine, b, c))
    expect(result((p) => p.replace(2))).toBe(hex(one, a, b, c))
    expect(result((p) => p.insert(0, intField(7, 7)))).toBe(hex(int(7, 7), ...old))
    expect(result((p) => p.add(2, stringField(2, 'n')))).toBe(hex(one, a, nine, b, len(2, 'n'), c))
    expect(result((p) => p.add(3, intField(3, 3)))).toBe(hex(one, a, int(3, 3), nine, b, c))
    expect(result((p) => p.add(30, intField(30, 3)))).toBe(hex(...old, int(30, 3)))
    expect(result((p) => p.single(2, stringField(2, 'x')))).toBe(hex(one, nine, len(2, 'x'), c))
    expect(result((p) => p.single(2, undefined))).toBe(hex(one, nine, c))
    expect(result((p) => p.drop(2))).toBe(hex(one, nine, c))
  })

  it('of nothing is a message in the order of its numbers', () => {
    const patch = new Patch()
    patch.add(5, intField(5, 1))
    patch.add(2, intField(2, 1), intField(2, 2))
    expect(bytesOf(patch.pieces()).toString('hex')).toBe(hex(int(2, 1), int(2, 2), int(5, 1)))
  })
})

describe('pieces', () => {
  it('come out the same in steps of any size', () => {
    const source = new BytesSource(Buffer.from(Array.from({ length: 1000 }, (_, i) => i)))
    const stream = {
      byteLength: 100,
      read: (at: number, n: number) => Buffer.from(Array.from({ length: n }, (_, i) => at + i)),
    }
    const pieces: Piece[] = [
      delimited(7, [
        { kind: 'range', size: 300, source, start: 10 },
        { kind: 'range', size: 300, source, start: 310 },
        bytesPiece(Buffer.alloc(50, 1)),
      ]),
      { kind: 'stream', size: 100, stream },
      bytesField(2, Buffer.from('end')),
    ]
    const whole = bytesOf(pieces)
    expect(whole).toHaveLength(totalSize(pieces))
    expect(whole.subarray(3, 603).equals(source.window.subarray(10, 610))).toBe(true)
    for (const step of [1, 7, 64, 4096]) expect(bytesOf(pieces, step).equals(whole)).toBe(true)
  })
})

describe('a file', () => {
  let folder: string
  const bytes = Buffer.from(Array.from({ length: 700_000 }, (_, i) => (i * 31) ^ (i >> 8)))
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'outeffhop-'))
    writeFileSync(join(folder, 'file'), bytes)
  })
  afterAll(() => rmSync(folder, { recursive: true, force: true }))
  const open = () => new FileSource(join(folder, 'file'), openSync(join(folder, 'file'), 'r'))

  it('shows what is at any position, whatever was looked at before', () => {
    const source = open()
    fc.assert(
      fc.property(
        fc.nat(bytes.length - 1),
        fc.integer({ min: 1, max: 300_000 }),
        fc.boolean(),
        (start, length, copy) => {
          const end = Math.min(start + length, bytes.length)
          if (copy || end - start > source.reach) {
            const target = Buffer.alloc(end - start)
            source.read(target, start)
            expect(target.equals(bytes.subarray(start, end))).toBe(true)
          } else {
            const at = source.seek(start, end - start)
            expect(source.window.subarray(at, at + end - start).equals(bytes.subarray(start, end))).toBe(true)
          }
        },
      ),
      { numRuns: 300, seed: 1 },
    )
    source.close()
  })

  it('has no bytes behind its end', () => {
    const source = open()
    expect(() => source.seek(bytes.length - 1, 2)).toThrow(expect.objectContaining({ code: 'malformed' }))
    source.close()
  })

  it('can be released and read again, but not when it is another one then', () => {
    const source = open()
    source.seek(0, 10)
    source.release()
    expect(source.isOpen).toBe(false)
    expect(textOfRange(source, 500_000, 500_001)).toBe(decodeText(bytes.subarray(500_000, 500_001)))
    source.release()
    writeFileSync(join(folder, 'file'), bytes.subarray(1))
    expect(() => textOfRange(source, 0, 300)).toThrow(expect.objectContaining({ code: 'source-changed' }))
    source.close()
    expect(() => source.seek(0, 1)).toThrow(expect.objectContaining({ code: 'model-closed' }))
  })
})

describe('a file that is written', () => {
  let folder: string
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'outeffhop-sink-'))
  })
  afterAll(() => rmSync(folder, { recursive: true }))

  const sizes = [0, 1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 3 << 20, 7, (5 << 20) + 3]
  const data = Uint8Array.from({ length: 6 << 20 }, (_, i) => (i * 2654435761) >>> 24)
  const input = new BytesSource(data)
  const pieces = sizes.flatMap((size, i) => [
    bytesPiece(data.subarray(i, i + size)),
    { kind: 'range' as const, size, source: input, start: i },
  ])

  it('holds all bytes in order, and whoever watches sees the same', async () => {
    const path = join(folder, 'whole')
    const fd = openSync(path, 'w')
    const seen: Buffer[] = []
    const sink = new FileSink(fd, (part) => seen.push(Buffer.from(part)))
    for (const _ of emit(pieces, sink)) await sink.room()
    await sink.flush()
    closeSync(fd)
    const expected = bytesOf(pieces)
    expect(readFileSync(path).equals(expected)).toBe(true)
    expect(Buffer.concat(seen).equals(expected)).toBe(true)
  })

  it('says so when the device is full', async ({ skip }) => {
    if (!existsSync('/dev/full')) return skip('there is no /dev/full')
    const fd = openSync('/dev/full', 'w')
    const sink = new FileSink(fd)
    const save = async () => {
      for (const _ of emit(pieces, sink)) await sink.room()
      await sink.flush()
    }
    await expect(save()).rejects.toMatchObject({ code: 'ENOSPC' })
    await sink.settle()
    closeSync(fd)
  })
})
