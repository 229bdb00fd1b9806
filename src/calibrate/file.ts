import { readFileSync } from 'node:fs'
import { calibrationMalformed, calibrationStale, calibrationUnreadable } from '../errors.ts'
import type { Model } from '../ir/index.ts'
import { placeFile } from '../onnx/index.ts'
import { fingerprintOf } from './fingerprint.ts'
import { ForeignTable } from './foreign/foreign-table.ts'
import { onnxruntimeCache, onnxruntimeJson } from './foreign/onnxruntime.ts'
import { onnxruntimeBinary } from './foreign/onnxruntime-binary.ts'
import { tensorrtCache } from './foreign/tensorrt.ts'
import { CalibrationTable } from './table.ts'
import { tableFromJson, tableToJson } from './table-json.ts'

/** Writes a table in one step: a reader finds the old file or the new one. Gives its size in bytes. */
export function writeTable(path: string, table: CalibrationTable): number {
  const bytes = Buffer.from(tableToJson(table))
  placeFile(path, bytes)
  return bytes.length
}

/** Reads a table of this program, of ONNX Runtime or of TensorRT, whatever the name of the file. */
export function readTable(path: string): CalibrationTable | ForeignTable {
  const bytes = bytesOf(path)
  const text = bytes.toString()
  if (!text.trimStart().startsWith('{')) {
    const foreign = tensorrtCache(text) ?? onnxruntimeCache(text) ?? onnxruntimeBinary(bytes)
    if (foreign) return foreign
    throw calibrationMalformed(path, 'it is neither JSON nor a calibration cache')
  }
  return (isOwn(text) ? undefined : onnxruntimeJson(parsed(text))) ?? tableFromJson(text, path)
}

/** Reads a table of this program. */
export function readOwnTable(path: string): CalibrationTable {
  const table = readTable(path)
  if (table instanceof CalibrationTable) return table
  throw calibrationMalformed(path, `it is one of ${table.source}, which only has ranges`)
}

/** Throws `calibration-stale` when a table was not made with this model. A foreign one fits when it knows one value of it. */
export function checkBelongs(table: CalibrationTable | ForeignTable, model: Model, path?: string): void {
  if (table instanceof ForeignTable) {
    const names = [...table.ranges.keys()]
    if (!names.some((name) => model.graph.values.has(name))) throw calibrationStale(path)
  } else if (table.fingerprint !== fingerprintOf(model)) throw calibrationStale(path)
}

function bytesOf(path: string): Buffer {
  try {
    return readFileSync(path)
  } catch (error) {
    throw calibrationUnreadable(path, (error as NodeJS.ErrnoException).code ?? String(error))
  }
}

function isOwn(text: string): boolean {
  return /^\s*\{\s*"format"\s*:/.test(text)
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
