// Writes the pictures of the terminal that documents show, from runs of the program on a database made for it. A test compares them with what the program shows today.
import { writeFileSync } from 'node:fs'
import { WITHOUT_TERMINAL } from '../test/support/terminal.ts'
import { svgOf } from './terminal/picture.ts'
import { record } from './terminal/recording.ts'

if (WITHOUT_TERMINAL !== false) throw new Error(WITHOUT_TERMINAL)
for (const [file, picture] of await record()) writeFileSync(new URL(`../${file}`, import.meta.url), svgOf(picture))
