/* Where a page stands among the results of a search: what was written to be read stands before what lists, and a name
   that is asked for, in one word or in two, before the names that only contain it. */
var Scorer = {
  objNameMatch: 11,
  objPartialMatch: 6,
  objPrio: { 0: 15, 1: 5, 2: -5 },
  objPrioDefault: 0,
  title: 15,
  partialTitle: 7,
  term: 5,
  partialTerm: 2,
  score: (result) => {
    const [page, title, , , score] = result;
    const plain = (text) => text.toLowerCase().replace(/[\s_-]/g, "");
    const asked = plain(new URLSearchParams(window.location.search).get("q") || "");
    const named = plain(title.split(".").pop()) === asked ? 12 : 0;
    const lists = /^(changelog|benchmarks|reference\/errors-list)$|(^|\/)index$/.test(page) ? -6 : 0;
    const read = /^(tutorial|quickstart|howto\/|explanation\/)/.test(page) && !lists ? 4 : 0;
    const framework = /generated\/symbreak\.(torch|jax|keras)\./.test(page) ? -1 : 0;
    return score + named + lists + read + framework;
  },
};
