/** What a multiprocessor has, by the CUDA programming guide's table of technical specifications. */
export interface Architecture {
  readonly name: string
  /** Bytes for all blocks together, of which a block may have 1 KiB less than all. */
  readonly shared: number
  readonly warps: number
}

/** One of each generation the kernels are built for. */
export const architectures: readonly Architecture[] = [
  { name: 'sm_80', shared: 164 << 10, warps: 64 },
  { name: 'sm_90a', shared: 228 << 10, warps: 64 },
  { name: 'sm_100', shared: 228 << 10, warps: 64 },
  { name: 'sm_120', shared: 100 << 10, warps: 48 },
]

const registersOfMultiprocessor = 65536

/** How many blocks fit at once: registers go to warps in units of 256, and each block takes 1 KiB of shared memory for itself. */
export function blocksPerMultiprocessor(
  architecture: Architecture,
  block: { readonly registers: number; readonly shared: number; readonly threads: number },
): number {
  const warps = block.threads / 32
  const ofWarp = Math.ceil((block.registers * 32) / 256) * 256
  // Each of the four parts of a multiprocessor has a quarter of the registers and runs whole warps.
  const byRegisters = Math.floor((4 * Math.floor(registersOfMultiprocessor / 4 / ofWarp)) / warps)
  const byShared = Math.floor(architecture.shared / (block.shared + 1024))
  return Math.min(byRegisters, byShared, Math.floor(architecture.warps / warps))
}
