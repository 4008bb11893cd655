import { SECOND } from '../time/clock.ts'

/**
 * Lines at the end of the output that are redrawn again and again. The cursor, which waits below them, is not hidden, and line wrapping stays on: a process
 * that is killed leaves the terminal as it was.
 */
export interface LiveLines extends Disposable {
  /** `line` is called each time it is drawn, and must be shorter than the terminal is wide. */
  add(line: () => string): void
  /** Prints whole lines above the others. */
  print(text: string): void
}

export function openLiveLines(write: (text: string) => void): LiveLines {
  const lines: (() => string)[] = []
  let drawn = 0
  let timer: NodeJS.Timeout | undefined
  const draw = (above = ''): void => {
    const back = drawn === 0 ? '' : `\u001B[${drawn}A${above === '' ? '' : CLEAR_BELOW}`
    write(`${back}${above}${lines.map((line) => `${line()}${CLEAR_REST}\n`).join('')}`)
    drawn = lines.length
  }
  return {
    add(line) {
      lines.push(line)
      draw()
      timer ??= setInterval(draw, EVERY_MS, '').unref()
    },
    print(text) {
      if (drawn === 0) write(text)
      else draw(text)
    },
    [Symbol.dispose]() {
      if (drawn === 0) return
      draw()
      clearInterval(timer)
      timer = undefined
      drawn = lines.length = 0
    },
  }
}

const EVERY_MS = SECOND / 8
const CLEAR_BELOW = '\u001B[J'
const CLEAR_REST = '\u001B[K'
