import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { caseTable, cudaProgram, hostCompiler, kernels, must, run } from './support/kernels.ts'
import { pythonWith } from './support/python.ts'

const folder = mkdtempSync(join(tmpdir(), 'outeffhop-library-'))
const compiler = hostCompiler()
const cmake = spawnSync('cmake', ['--version']).status === 0
if (!cmake) console.log('skipped: cmake does not run')
const torch = pythonWith('torch')
const nvcc = cudaProgram('nvcc')

afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** Configures and builds the library in a folder of its own. */
async function build(name: string, ...options: string[]): Promise<string> {
  const target = join(folder, name)
  await must('cmake', ['-S', kernels, '-B', target, ...options.map((option) => `-D${option}`)])
  await must('cmake', ['--build', target, '--parallel', '2'])
  return target
}

describe.skipIf(compiler === undefined || !cmake)('the library without CUDA', () => {
  let target: string
  beforeAll(async () => {
    target = await build('plain', 'OUTEFFHOP_CUDA=OFF', 'BUILD_SHARED_LIBS=ON')
  }, 300_000)

  it('is called from C, refuses calls that make no sense, and says why', async () => {
    const source = join(folder, 'client.c')
    const program = join(folder, 'client')
    writeFileSync(source, client)
    const strict = ['-x', 'c', '-std=c11', '-pedantic', '-Wall', '-Wextra', '-Werror', `-I${join(kernels, 'include')}`]
    const library = [`-L${target}`, `-Wl,-rpath,${target}`, '-louteffhop_attention']
    await must('cc', [...strict, source, '-o', program, ...library])
    expect((await must(program, [])).trimEnd().split('\n')).toEqual([
      'one key, sink 0: 0 0.500000',
      'no key: 0 0.000000',
      'on a device: 10 This build has no kernel for the head size or for the architecture of the device.',
      'version 2: 1 The call was built with another version of outeffhop_attention.h.',
      'bool inputs: 2 q, k, v and out are float32, float16 or bfloat16; a bias is that, float32 or bool.',
      'minus one key: 3 A size is negative or too large, or the scale is not finite.',
      'two key heads for one: 4 The number of heads is no multiple of the number of key heads.',
      'head size 257: 5 Head and value sizes from 1 to 256 are supported.',
      'no queries: 6 A tensor that is not empty has no data.',
      'an odd address: 7 The data of a tensor is not aligned to its elements.',
    ])
  }, 60_000)

  it.skipIf(torch === undefined)(
    'is called from Python, and its reference agrees with torch in float64',
    async () => {
      const script = join(kernels, 'bench/compare.py')
      const { code, output } = await run(torch!, [script, join(target, 'libouteffhop_attention.so')])
      if (code !== 0) expect(output).toContain('the reference of the library is right on host memory')
    },
    120_000,
  )
})

describe.skipIf(nvcc === undefined || !cmake)('the library with CUDA', () => {
  it('builds with its programs, which are right on a device, or say that none can be used', async () => {
    const options = ['CMAKE_CUDA_ARCHITECTURES=80', 'OUTEFFHOP_ONLY_HEAD_SIZE=64', `CMAKE_CUDA_COMPILER=${nvcc}`]
    const target = await build('cuda', ...options)
    const fits = ['one-tile', 'causal-lengths', 'masked-rows', 'bfloat16-bias', 'odd-rows', 'float32-causal']
    const check = await run(join(target, 'attention_check'), [caseTable, ...fits])
    expect(check.output).toMatch(check.code === 0 ? /6 cases, 0 wrong/ : /CUDA (driver|device)/i)
    expect([0, 2]).toContain(check.code)
    if (check.code === 0) return
    const bench = await run(join(target, 'attention_bench'), [])
    expect(bench).toMatchObject({ code: 2, output: expect.stringContaining('no CUDA device can be used') })
  }, 300_000)
})

/** One query and one key of one number each, then the same call with one thing wrong at a time. */
const client = `
#include <stdio.h>
#include "outeffhop_attention.h"

static float q[1] = {0}, k[1] = {3}, v[1] = {1}, out[1];

static outeffhop_attention sound(void) {
  outeffhop_attention call = {0};
  call.version = OUTEFFHOP_ATTENTION_VERSION;
  call.type = OUTEFFHOP_FLOAT32;
  call.batch = call.heads = call.kv_heads = call.queries = call.keys = call.head_size = call.value_size = 1;
  call.q = q; call.k = k; call.v = v; call.out = out;
  call.scale = 1;
  return call;
}

static void refused(const char* what, outeffhop_attention call) {
  outeffhop_status status = outeffhop_attention_reference(&call);
  printf("%s: %d %s\\n", what, (int)status, outeffhop_status_text(status));
}

int main(void) {
  outeffhop_attention call = sound();
  printf("one key, sink 0: %d", (int)outeffhop_attention_reference(&call));
  printf(" %f\\n", out[0]);
  call.keys = 0;
  printf("no key: %d", (int)outeffhop_attention_reference(&call));
  printf(" %f\\n", out[0]);
  call = sound();
  outeffhop_status status = outeffhop_attention_cuda(&call, 0);
  printf("on a device: %d %s\\n", (int)status, outeffhop_status_text(status));
  call = sound(); call.version = 2; refused("version 2", call);
  call = sound(); call.type = OUTEFFHOP_BOOL; refused("bool inputs", call);
  call = sound(); call.keys = -1; refused("minus one key", call);
  call = sound(); call.kv_heads = 2; refused("two key heads for one", call);
  call = sound(); call.head_size = 257; refused("head size 257", call);
  call = sound(); call.q = 0; refused("no queries", call);
  call = sound(); call.k = (const char*)k + 1; refused("an odd address", call);
  return 0;
}
`
