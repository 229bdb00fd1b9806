/** UTF-8 to text; bytes that are not UTF-8 become lone surrogates U+DC80 to U+DCFF, so that nothing is lost. */
export function decodeText(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes)
}

export function encodeText(text: string): Uint8Array {
  return new TextEncoder().encode(text)
}
