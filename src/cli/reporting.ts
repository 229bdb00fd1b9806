import type { SourceDocument } from '../report/index.ts'

interface Given {
  readonly report?: readonly string[] | undefined
  readonly overwrite?: boolean | undefined
}

/** What a command does for its report: say beforehand what could not be written, and write it of the document in the end. */
export async function reporting({ report: output = [], overwrite }: Given): Promise<{
  /** Whether the document has to hold what pages are drawn of; undefined leaves it out. */
  readonly observations: true | undefined
  write(document: SourceDocument): Promise<void>
}> {
  if (output.length === 0) return { observations: undefined, write: async () => {} }
  const { checkReports, report } = await import('../report.ts')
  checkReports({ output, overwrite })
  return {
    observations: true,
    write: async (document) => {
      await report(document, { output, overwrite })
    },
  }
}
