export interface Directive {
  /** Including anything that follows it: `no-transaction`. */
  readonly name: string
  /** UTF-16 offset of its line in the file. */
  readonly at: number
}

/** The file's statements run one by one, each outside a transaction. */
export const NO_TRANSACTION = 'no-transaction'

/** What follows it is a right that the file grants to every role that runs jobs: the runner says so before it applies the file. */
export const GRANTS = 'grants '

/** Instructions to the runner: comments of the form `-- @name` at the top of a file, preceded only by comments and blank lines. */
export function directives(text: string): readonly Directive[] {
  const found: Directive[] = []
  let at = 0
  for (const line of text.split('\n')) {
    if (!/^\s*(--.*)?$/.test(line)) break
    const name = /^\s*--\s*@(.*)$/.exec(line)?.[1]?.trim()
    if (name !== undefined) found.push({ name, at })
    at += line.length + 1
  }
  return found
}
