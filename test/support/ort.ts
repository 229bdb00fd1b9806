/** ONNX Runtime, for running what we write; `undefined`, with a line that says so, where it is not installed. */
export async function runtimeOrSkip(): Promise<typeof import('onnxruntime-node') | undefined> {
  try {
    return await import('onnxruntime-node')
  } catch (error) {
    console.log(`skipped: onnxruntime-node cannot be loaded (${(error as Error).message.split('\n')[0]})`)
    return undefined
  }
}

/** Runs a model of one float input and gives its first output. */
export async function runFloats(
  ort: typeof import('onnxruntime-node'),
  model: string | Uint8Array,
  input: Float32Array,
  dims: readonly number[],
): Promise<Float32Array> {
  const options = { logSeverityLevel: 3, intraOpNumThreads: 1 } as const
  const session =
    typeof model === 'string'
      ? await ort.InferenceSession.create(model, options)
      : await ort.InferenceSession.create(model, options)
  try {
    const name = session.inputNames[0] as string
    const results = await session.run({ [name]: new ort.Tensor('float32', input, dims) })
    return Float32Array.from(results[session.outputNames[0] as string]?.data as Float32Array)
  } finally {
    await session.release()
  }
}
