import { testFight } from '../support/fight-test.ts'

testFight(12_000)
