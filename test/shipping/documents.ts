import { readFile } from 'node:fs/promises'
import { CHECKOUT } from './checkout.ts'

export const DOCUMENTS = [
  'README.md',
  'CONTRIBUTING.md',
  'docs/glossary.md',
  'test/README.md',
  'SECURITY.md',
  'deploy/README.md',
  'migrations/README.md',
  'bench/README.md',
] as const

export interface Document {
  readonly file: string
  readonly text: string
  /** Shell commands in order: a line each, continued lines joined, comments left out. */
  readonly commands: readonly string[]
  /** Blocks of SQL. */
  readonly queries: readonly string[]
}

export async function readDocuments(): Promise<readonly Document[]> {
  return await Promise.all(
    DOCUMENTS.map(async (file) => {
      const text = await readFile(`${CHECKOUT}${file}`, 'utf8')
      const commands = blocks(text, 'sh').flatMap((block) =>
        block
          .replaceAll(/\\\n\s*/g, '')
          .split('\n')
          .map(withoutComment),
      )
      return { file, text, commands: commands.filter((line) => line !== ''), queries: blocks(text, 'sql') }
    }),
  )
}

function blocks(text: string, language: string): string[] {
  return [...text.matchAll(new RegExp(`^\`\`\`${language}\\n([^]*?)^\`\`\`$`, 'gm'))].map((match) => match[1]!)
}

function withoutComment(line: string): string {
  return line.replace(/(?:^|\s+)#(?:\s.*)?$/, '').trim()
}
