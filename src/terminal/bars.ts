import cliProgress, { type Params, type SingleBar } from 'cli-progress'
import { Writable } from 'node:stream'

export interface Bar {
  /** So many are done, of so many; the rest of the line is the caller's. */
  update(done: number, total: number): void
}

export interface Bars extends Disposable {
  /** `line` is asked for the whole line whenever it is drawn; `draw` makes a bar of so many characters. */
  add(line: (draw: (characters: number) => string) => string): Bar
  /** Whole lines, above the bars. */
  print(text: string): void
}

export interface BarsOptions {
  readonly unicode: boolean
  readonly columns: () => number
  readonly print: (text: string) => void
}

/** Bars below each other at the end of what is printed. Neither hides the cursor nor stops lines from wrapping: a process that is killed leaves both as they were. */
export function openBars({ unicode, columns, print }: BarsOptions): Bars {
  const [full, empty] = unicode ? ['\u2588', '\u2591'] : ['#', '-']
  const bars = new cliProgress.MultiBar({
    stream: terminal(columns, print),
    barCompleteChar: full,
    barIncompleteChar: empty,
    barsize: LONGEST,
    linewrap: true,
    hideCursor: false,
    gracefulExit: false,
    // What is printed above takes the place of the first bar, which has to be drawn anew below it.
    forceRedraw: true,
    fps: 8,
    emptyOnZero: true,
  })
  let open = false
  return {
    add(line) {
      const format = (options: object, params: Params): string =>
        line((characters) => cliProgress.Format.BarFormat(params.total === 0 ? 1 : params.progress, { ...options, barsize: characters }))
      const bar: SingleBar = bars.create(0, 0, {}, { format })
      open = true
      return {
        update(done, total) {
          bar.setTotal(total)
          bar.update(done)
        },
      }
    },
    print(text) {
      if (!open) return print(text)
      // The bars below are drawn anew, and a text of several lines must not end among what is left of them.
      bars.log(`${CLEAR_BELOW}${text}`)
      bars.update()
    },
    [Symbol.dispose]() {
      if (open) bars.stop()
      open = false
    },
  }
}

const LONGEST = 40
const CLEAR_BELOW = '\u001B[0J'

/** Written at once and in order, as everything else on this terminal is. */
function terminal(columns: () => number, print: (text: string) => void): NodeJS.WritableStream {
  const stream = new Writable({
    decodeStrings: false,
    write(text, _, done) {
      print(String(text))
      done()
    },
  })
  return Object.defineProperty(Object.assign(stream, { isTTY: true }), 'columns', { get: columns })
}
