/** A mistake planted in the text of the kernels: `from` stands in `file` exactly once. */
export interface PlantedBug {
  readonly claim: string
  readonly file: string
  readonly from: string
  readonly to: string
  /** Only a sanitizer sees it: memory is touched that belongs to somebody else. */
  readonly sanitizer?: true
}

/** What a kernel author gets wrong, one mistake at a time; the tests have to notice each. */
export const plantedBugs: readonly PlantedBug[] = [
  {
    claim: 'the barrier after the keys were loaded is lost',
    file: 'flash.hpp',
    from: '__syncthreads();  // these keys are there for every warp, and every warp is done with the values and keys before them',
    to: '',
  },
  {
    claim: 'the barrier after the values were loaded is lost',
    file: 'flash.hpp',
    from: '__syncthreads();  // the values are there for every warp',
    to: '',
  },
  {
    claim: 'the barrier before a tile is overwritten is lost',
    file: 'plain.hpp',
    from: '    __syncthreads();  // every warp is done with the values',
    to: '',
  },
  {
    claim: 'a barrier stands where only some warps come',
    file: 'flash.hpp',
    from: '        __syncthreads();  // the values are there for every warp',
    to: '        if (place.warp_row == 0) __syncthreads();',
  },
  {
    claim: 'the wait for the keys is lost',
    file: 'flash.hpp',
    from: 'device::copy_wait<0>();\n    __syncthreads();  // these keys',
    to: '__syncthreads();  // these keys',
  },
  {
    claim: 'queries are under way when a block without keys writes its zeros',
    file: 'flash.hpp',
    from: 'device::copy_wait<0>();\n    __syncthreads();  // no late',
    to: '__syncthreads();  // no late',
  },
  { claim: 'the wait for the values lets them pend', file: 'flash.hpp', from: 'copy_wait<1>', to: 'copy_wait<2>' },
  { claim: 'the next keys overwrite these', file: 'flash.hpp', from: 'keys + (stage ^ 1) *', to: 'keys + stage *' },
  {
    claim: 'a shuffle of the maximum is lost',
    file: 'flash.hpp',
    from: 'top = fmaxf(top, __shfl_xor_sync(~0u, top, 2));',
    to: '',
  },
  {
    claim: 'a shuffle of the sum is lost',
    file: 'flash.hpp',
    from: 'row.sum += __shfl_xor_sync(~0u, row.sum, 2);',
    to: '',
  },
  {
    claim: 'lanes read what others write without meeting them',
    file: 'flash.hpp',
    from: '  __syncwarp();  // the rows are there for every lane\n',
    to: '',
  },
  {
    claim: 'fragments of the weights are swapped',
    file: 'flash.hpp',
    from: 'weights[m][2 * step + i / 2]',
    to: 'weights[m][2 * step + i % 2]',
  },
  {
    claim: 'lanes address the wrong rows of the keys',
    file: 'flash.hpp',
    from: 'lane % 8 + 8 * (lane / 16), lane / 8 % 2',
    to: 'lane % 16, lane / 16',
  },
  {
    claim: 'values are read without transposing',
    file: 'flash.hpp',
    from: 'device::load_matrices_transposed(b,',
    to: 'device::load_matrices(b,',
  },
  {
    claim: 'the swizzle of a step further is forgotten',
    file: 'tile.hpp',
    from: '(first ^ (chunks % kGroup * 16))',
    to: '(first + (chunks % kGroup * 16))',
  },
  { claim: 'the sink is missing', file: 'row.hpp', from: 'p.no_sink ? 0.f :', to: 'true ? 0.f :' },
  {
    claim: 'the sink is taken in the wrong base',
    file: 'row.hpp',
    from: 'sink * kLog2E - row.top',
    to: 'sink - row.top',
  },
  { claim: 'the ordinary softmax gets a sink', file: 'row.hpp', from: 'p.no_sink ? 0.f :', to: 'false ? 0.f :' },
  {
    claim: 'the running maximum starts above the scores, so that their weights vanish',
    file: 'flash.hpp',
    from: 'rows[m][0] = rows[m][1] = {-INFINITY, 0.f}',
    to: 'rows[m][0] = rows[m][1] = {12.f, 0.f}',
  },
  {
    claim: 'sums are not brought to a raised maximum',
    file: 'flash.hpp',
    from: 'factors[m][half] != 1.f',
    to: 'factors[m][half] == 2.f',
  },
  {
    claim: 'a row of masked keys divides by nothing',
    file: 'row.hpp',
    from: 'row.top == -INFINITY ? 0.f : row.top',
    to: 'row.top',
  },
  { claim: 'causality hides one key too many', file: 'row.hpp', from: '- p.queries + 1;', to: '- p.queries;' },
  {
    claim: 'causality is aligned to the start',
    file: 'row.hpp',
    from: 'query + length - p.queries + 1',
    to: 'query + 1',
  },
  {
    claim: 'a tail one short of a step is not masked',
    file: 'flash.hpp',
    from: 'first_key + Shape::kStep > seen_by_first',
    to: 'first_key + Shape::kStep > seen_by_first + 1',
  },
  { claim: 'the key behind the last is seen', file: 'flash.hpp', from: '8 * n + e >= left', to: '8 * n + e > left' },
  {
    claim: 'the lowest finite bias becomes -infinity',
    file: 'row.hpp',
    from: 'fmaxf(bias * kLog2E, -FLT_MAX)',
    to: 'bias * kLog2E',
  },
  {
    claim: 'a row behind the last is loaded',
    file: 'tile.hpp',
    from: 'count ? end - first : 0',
    to: 'count ? end - first + 1 : 0',
    sanitizer: true,
  },
  {
    claim: 'a row behind the last is stored',
    file: 'tile.hpp',
    from: 'first + row >= end ||',
    to: 'first + row > end ||',
    sanitizer: true,
  },
  {
    claim: 'the bias behind the last key is read',
    file: 'flash.hpp',
    from: '8 * n + e < left ? Bias',
    to: '8 * n + e <= left ? Bias',
    sanitizer: true,
  },
]
