// @ts-check
/**
 * The process ONNX Runtime runs in, forked by `session.ts`: its calls block the event loop, and a crash in native code
 * must not end the program that asked. One session a process; requests are answered in order, by id.
 *
 * Plain JavaScript, so that it can be forked from the sources and from the build alike.
 *
 * @typedef {{ type: string, dims: readonly number[], data: ArrayBufferView | string[] }} Plain
 * @typedef {{ id: number, open: { model: string | Uint8Array, options: object, reducer?: string } }} OpenRequest
 * @typedef {{ feeds: Record<string, Plain>, fetches: string[] | undefined, plan?: unknown }} Run
 * @typedef {{ id: number, run: Run }} RunRequest
 * @typedef {{ id: number, time: Run }} TimeRequest
 */

/** @type {any} */
let ort
/** @type {any} */
let session
/** @type {any} */
let reducer

process.on('message', async (/** @type {OpenRequest | RunRequest | TimeRequest} */ request) => {
  try {
    const value =
      'open' in request
        ? await open(request.open)
        : 'time' in request
          ? await time(request.time)
          : await run(request.run)
    process.send?.({ id: request.id, value })
  } catch (error) {
    const { message, code } = /** @type {{ message?: string, code?: string }} */ (error)
    process.send?.({ id: request.id, error: { message: message ?? String(error), code } })
  }
})
process.on('disconnect', () => process.exit(0))
// Ctrl-C in a terminal goes to every process of the group; the program that asked says when this one ends.
process.on('SIGINT', () => {})

/** @param {OpenRequest['open']} request */
async function open({ model, options, reducer: module }) {
  if (module !== undefined) reducer = await import(module)
  ort = await import('onnxruntime-node')
  session = await ort.InferenceSession.create(model, options)
  return { inputs: session.inputNames, outputs: session.outputNames }
}

/** @param {RunRequest['run']} request */
async function run({ feeds, fetches, plan }) {
  const tensors = Object.entries(feeds).map(([name, { type, data, dims }]) => [name, new ort.Tensor(type, data, dims)])
  const results = await session.run(Object.fromEntries(tensors), fetches ?? session.outputNames)
  if (plan !== undefined) return reducer.reduce(results, plan)
  /** @type {Record<string, Plain>} */
  const outputs = {}
  for (const [name, { type, data, dims }] of Object.entries(results)) {
    outputs[name] = { type, dims: [...dims], data: Array.isArray(data) ? data : bytesOf(data) }
  }
  return outputs
}

/** @param {Run} request */
async function time({ feeds }) {
  const tensors = Object.entries(feeds).map(([name, { type, data, dims }]) => [name, new ort.Tensor(type, data, dims)])
  const start = performance.now()
  await session.run(Object.fromEntries(tensors), session.outputNames)
  return performance.now() - start
}

/**
 * The raw bytes: some Node versions cannot send a Float16Array to another process.
 *
 * @param {ArrayBufferView} view
 */
function bytesOf(view) {
  return new Uint8Array(view.buffer, view.byteOffset, view.byteLength)
}
