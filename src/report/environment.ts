/** Where the numbers come from: the same model may give others elsewhere. */
export interface Environment {
  /** Version of this program. */
  readonly tool: string
  /** Version of onnxruntime-node; null where it is not installed. */
  readonly runtime: string | null
  readonly node: string
  readonly platform: string
}
