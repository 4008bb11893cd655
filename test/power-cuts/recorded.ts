// The process that is recorded: `recorded.ts FOLDER WORK CIRCUMSTANCES`, the last two as JSON.
import { perform, Site, type Circumstances, type Work } from './work.ts'

const [folder = '', work = '', circumstances = ''] = process.argv.slice(2)
await perform(JSON.parse(work) as Work, new Site(folder), JSON.parse(circumstances) as Circumstances)
