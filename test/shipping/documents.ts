import { readFile } from 'node:fs/promises'
import { CHECKOUT, filesBelow } from './checkout.ts'

export interface Document {
  readonly file: string
  readonly text: string
  /** Without its blocks of code, in which nothing is a heading or a link. */
  readonly prose: string
  /** Shell commands in order: a line each, continued lines joined, comments left out. */
  readonly commands: readonly string[]
  /** Blocks of SQL. */
  readonly queries: readonly string[]
}

/** Every Markdown file of the checkout, so a new one needs no entry anywhere. */
export async function readDocuments(): Promise<readonly Document[]> {
  const files = await filesBelow(CHECKOUT, (path) => /(^|\/)(node_modules|dist|\.git)$/.test(path))
  return await Promise.all(
    files
      .filter((file) => file.endsWith('.md'))
      .map(async (file) => {
        const text = await readFile(`${CHECKOUT}${file}`, 'utf8')
        const prose = text.replaceAll(/^```[^]*?^```$/gm, '')
        const commands = blocks(text, 'sh').flatMap((block) =>
          block
            .replaceAll(/\\\n\s*/g, '')
            .split('\n')
            .map(withoutComment),
        )
        return { file, text, prose, commands: commands.filter((line) => line !== ''), queries: blocks(text, 'sql') }
      }),
  )
}

/** Links and pictures of a text, as they are written. */
export function linksIn(prose: string): readonly string[] {
  return [...prose.matchAll(/\]\(([^)\s]+)\)/g)].map((match) => match[1]!)
}

/** The anchors that a Markdown renderer makes of headings. */
export function anchorsOf(prose: string): readonly string[] {
  const seen = new Map<string, number>()
  return [...prose.matchAll(/^#+ (.+)$/gm)].map((match) => {
    const anchor = match[1]!
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}_\s-]/gu, '')
      .trim()
      .replaceAll(' ', '-')
    const times = seen.get(anchor) ?? 0
    seen.set(anchor, times + 1)
    return times === 0 ? anchor : `${anchor}-${times}`
  })
}

function blocks(text: string, language: string): string[] {
  return [...text.matchAll(new RegExp(`^\`\`\`${language}\\n([^]*?)^\`\`\`$`, 'gm'))].map((match) => match[1]!)
}

function withoutComment(line: string): string {
  return line.replace(/(?:^|\s+)#(?:\s.*)?$/, '').trim()
}
