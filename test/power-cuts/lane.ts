// A process of the suite: carries out the task that its parent sends, and answers with the report.
import { carryOut, type Task } from './tasks.ts'

process.once('message', (task: Task) => {
  void (async () => {
    process.send!(await carryOut(task))
    process.disconnect()
  })()
})
