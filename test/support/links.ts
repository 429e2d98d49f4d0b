/** Opens the emulated links of the network bench in this process's own network namespace, and prints what they were like. */
import { checkLinks } from '../../bench/network/check.ts'
import type { Condition } from '../../bench/network/conditions.ts'
import { Links } from '../../bench/network/links.ts'

const [text = ''] = process.argv.slice(2)
await using links = await Links.open('cubic')
await links.set(JSON.parse(text) as Condition, 1)
const check = await checkLinks(links)
console.log(JSON.stringify({ check, report: await links.report() }))
