import t from 'tap';
import { StandingWarnings } from '../../src/node/standing-warnings.js';

t.test('a warning is told once, when it was there twice in a row', async (t) => {
  const told: string[] = [];
  const warnings = new StandingWarnings((text) => told.push(text), ['known']);
  warnings.look(['known', 'half written']);
  warnings.look(['known', 'torn']);
  t.strictSame(told, []);
  warnings.look(['known', 'torn']);
  warnings.look(['known', 'torn']);
  t.strictSame(told, ['torn']);
  warnings.look([]);
  warnings.look(['torn']);
  warnings.look(['torn']);
  t.strictSame(told, ['torn', 'torn'], 'it had gone meanwhile');
});
