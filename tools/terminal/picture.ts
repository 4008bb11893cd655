import type { Cell } from '../../test/support/screen.ts'

export interface Picture {
  readonly title: string
  readonly description: string
  readonly columns: number
  readonly lines: readonly (readonly Cell[])[]
}

const FONT_SIZE = 14
/** What most monospaced fonts have; others are brought to it. */
const CELL_WIDTH = FONT_SIZE * 0.6
const LINE_HEIGHT = 19
const MARGIN = 20

/** An SVG that needs nothing from outside, on a background of its own, its text real text. */
export function svgOf({ title, description, columns, lines }: Picture): string {
  const width = Math.ceil(columns * CELL_WIDTH + 2 * MARGIN)
  const height = lines.length * LINE_HEIGHT + 2 * MARGIN
  const texts = lines.map((line, at) => textOf(line, MARGIN + (at + 1) * LINE_HEIGHT - 5))
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img" aria-labelledby="title description" xml:space="preserve">
<title id="title">${escaped(title)}</title>
<desc id="description">${escaped(description)}</desc>
<style>
text { font: ${FONT_SIZE}px ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', 'Liberation Mono', monospace; fill: #d8dee6; white-space: pre }
.bold { font-weight: bold; fill: #ffffff }
.red { fill: #ff8f85 }
.bar { fill: transparent }
rect.bar { fill: #93a4b8 }
</style>
<rect x="0.5" y="0.5" width="${width - 1}" height="${height - 1}" rx="8" fill="#14181f" stroke="#3d444d"/>
${texts.join('\n')}
</svg>
`
}

/** The lines of a picture as they were written into it. */
export function linesIn(svg: string): readonly string[] {
  return [...svg.matchAll(/^<text[^>]*>(.*)<\/text>$/gm)].map(([, inside = '']) => unescaped(inside.replaceAll(/<[^>]*>/g, '')))
}

/** Each part stands at its column and takes its columns' room, whatever font there is. Bars are drawn, since fonts differ most in blocks; their text lies over them. */
function textOf(line: readonly Cell[], y: number): string {
  const parts = partsOf(line)
  const drawn = parts.filter(isBar).map((part) => `${barOf(part, y)}\n`)
  return `${drawn.join('')}<text y="${y}">${parts.map(spanOf).join('')}</text>`
}

/** What bars are made of; a whole cell each. */
const BLOCKS = '▇█'

function isBar({ cells }: Part): boolean {
  return BLOCKS.includes(cells[0]!.character)
}

function barOf({ at, cells }: Part, y: number): string {
  const filled = cells.filter(({ character }) => BLOCKS.includes(character)).length
  const height = LINE_HEIGHT - 5
  return `<rect class="bar" x="${left(at)}" y="${y - height + 3}" width="${round(filled * CELL_WIDTH)}" height="${height}"/>`
}

interface Part {
  readonly at: number
  readonly cells: readonly Cell[]
}

/** Parts of one style, each at most as long as a table's cell with its padding. */
function partsOf(line: readonly Cell[]): Part[] {
  const begins = line.flatMap((_, at) => (at === 0 || styleOf(line[at - 1]!) !== styleOf(line[at]!) || followsGap(line, at) ? [at] : []))
  return begins.map((at, index) => ({ at, cells: line.slice(at, begins[index + 1]) }))
}

function followsGap(line: readonly Cell[], at: number): boolean {
  return line[at]!.character !== ' ' && line[at - 1]?.character === ' ' && (at === 1 || line[at - 2]?.character === ' ')
}

function spanOf(part: Part): string {
  const { at, cells } = part
  const text = escaped(cells.map(({ character }) => character).join(''))
  const style = isBar(part) ? 'bar' : styleOf(cells[0]!)
  return `<tspan x="${left(at)}" textLength="${round(cells.length * CELL_WIDTH)}" lengthAdjust="spacingAndGlyphs"${style === '' ? '' : ` class="${style}"`}>${text}</tspan>`
}

function styleOf({ bold, red }: Cell): string {
  return [...(bold ? ['bold'] : []), ...(red ? ['red'] : [])].join(' ')
}

function left(column: number): number {
  return round(MARGIN + column * CELL_WIDTH)
}

function round(length: number): number {
  return Math.round(length * 10) / 10
}

const ENTITIES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' }

function escaped(text: string): string {
  return text.replaceAll(/[&<>"]/g, (character) => ENTITIES[character]!)
}

function unescaped(text: string): string {
  return Object.entries(ENTITIES).reduceRight((result, [character, entity]) => result.replaceAll(entity, character), text)
}
