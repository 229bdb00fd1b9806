// @ts-check
/**
 * The process ONNX Runtime runs in, forked by `session.ts`: its calls block the event loop, and a crash in native code
 * must not end the program that asked. Requests are answered in order, by id; those of a single session use the first.
 *
 * Plain JavaScript, so that it can be forked from the sources and from the build alike.
 *
 * @typedef {{ type: string, dims: readonly number[], data: ArrayBufferView | string[] }} Plain
 * @typedef {{ id: number, open: { models: (string | Uint8Array)[], options: object, reducer?: string } }} OpenRequest
 * @typedef {{ feeds: Record<string, Plain>, fetches: string[] | undefined, plan?: unknown }} Run
 * @typedef {{ id: number, run: Run }} RunRequest
 * @typedef {{ id: number, time: Run }} TimeRequest
 * @typedef {{ id: number, work: Run }} WorkRequest
 */

/** @type {any} */
let ort
/** @type {any[]} */
const sessions = []
/** @type {any} */
let reducer

process.on('message', async (/** @type {OpenRequest | RunRequest | TimeRequest | WorkRequest} */ request) => {
  try {
    const value =
      'open' in request
        ? await open(request.open)
        : 'time' in request
          ? await time(request.time)
          : 'work' in request
            ? await work(request.work)
            : await run(request.run)
    process.send?.({ id: request.id, value })
  } catch (error) {
    const { message, code, at } = /** @type {{ message?: string, code?: string, at?: number }} */ (error)
    process.send?.({ id: request.id, error: { message: message ?? String(error), code, at } })
  }
})
process.on('disconnect', () => process.exit(0))
// Ctrl-C in a terminal goes to every process of the group; the program that asked says when this one ends.
process.on('SIGINT', () => {})

/** @param {OpenRequest['open']} request */
async function open({ models, options, reducer: module }) {
  if (module !== undefined) reducer = await import(module)
  ort = await import('onnxruntime-node')
  for (const [at, model] of models.entries())
    sessions.push(await placed(at, () => ort.InferenceSession.create(model, options)))
  return sessions.map((session) => ({ inputs: session.inputNames, outputs: session.outputNames }))
}

/**
 * What is thrown says which session it was.
 *
 * @template T
 * @param {number} at
 * @param {() => Promise<T>} act
 */
async function placed(at, act) {
  try {
    return await act()
  } catch (error) {
    throw Object.assign(error instanceof Error ? error : new Error(String(error)), { at })
  }
}

/** @param {Run['feeds']} feeds */
function tensorsOf(feeds) {
  const tensors = Object.entries(feeds).map(([name, { type, data, dims }]) => [name, new ort.Tensor(type, data, dims)])
  return Object.fromEntries(tensors)
}

/**
 * All sessions together: the module is given a function for each.
 *
 * @param {Run} request
 */
function work({ feeds, plan }) {
  const runs = sessions.map((session, at) => (/** @type {any} */ given, /** @type {string[]} */ fetches) => {
    return placed(at, () => session.run(given, fetches))
  })
  return reducer.work(runs, tensorsOf(feeds), plan)
}

/** @param {RunRequest['run']} request */
async function run({ feeds, fetches, plan }) {
  const session = sessions[0]
  const results = await session.run(tensorsOf(feeds), fetches ?? session.outputNames)
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
  const [session, tensors] = [sessions[0], tensorsOf(feeds)]
  const start = performance.now()
  await session.run(tensors, session.outputNames)
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
