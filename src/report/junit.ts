/** One assertion of a suite; it passed unless it says why not. */
export interface TestCase {
  readonly group: string
  readonly name: string
  /** What did not hold. */
  readonly failure?: string
  /** Why it could not be found out. */
  readonly error?: string
}

export interface TestSuite {
  readonly name: string
  readonly cases: readonly TestCase[]
}

/** Suites as JUnit XML, the dialect that CI servers have in common: well-formed XML 1.0 whatever the texts hold. */
export function junit(name: string, suites: readonly TestSuite[]): string {
  const all = suites.flatMap(({ cases }) => cases)
  const body = suites.flatMap(({ name: suite, cases }) => [
    `  <testsuite ${attributes({ name: suite, ...counts(cases) })}>`,
    ...cases.flatMap(testCase),
    '  </testsuite>',
  ])
  const head = `<testsuites ${attributes({ name, ...counts(all) })}>`
  return `${['<?xml version="1.0" encoding="UTF-8"?>', head, ...body, '</testsuites>'].join('\n')}\n`
}

function testCase({ group, name, failure, error }: TestCase): string[] {
  const open = `    <testcase ${attributes({ classname: group, name })}`
  if (failure === undefined && error === undefined) return [`${open}/>`]
  const [tag, message] = failure === undefined ? ['error', error as string] : ['failure', failure]
  return [`${open}>`, `      <${tag} ${attributes({ message })}>${escaped(message)}</${tag}>`, '    </testcase>']
}

function counts(cases: readonly TestCase[]) {
  const count = (what: 'failure' | 'error') => String(cases.filter((one) => one[what] !== undefined).length)
  return { tests: String(cases.length), failures: count('failure'), errors: count('error') }
}

function attributes(values: Readonly<Record<string, string>>): string {
  return Object.entries(values)
    .map(([name, value]) => `${name}="${escaped(value).replace(/[\t\n\r]/g, (c) => `&#${c.charCodeAt(0)};`)}"`)
    .join(' ')
}

const entities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&apos;',
}

/** Characters that XML 1.0 has no way to write become U+FFFD. */
function escaped(text: string): string {
  return text
    .replace(/[^\t\n\r\u{20}-\u{D7FF}\u{E000}-\u{FFFD}\u{10000}-\u{10FFFF}]/gu, '\uFFFD')
    .replace(/[&<>"']/g, (c) => entities[c] as string)
}
