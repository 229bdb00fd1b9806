/** For TypeScript: `/// <reference types="outeffhop-convert/client" />`. */
declare module '*.onnx?outeffhop' {
  /** Where the converted model is. */
  const url: string
  export default url
}
