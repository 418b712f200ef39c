const shop = "http://127.0.0.1:8000/v1/collections/shop";
const asJson = (body) => ({ headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });

const put = { method: "PUT", ...asJson({ title: "Red sofa", attributes: { price: 499 } }) };
console.log((await (await fetch(`${shop}/items/sku-1`, put)).json()).outcome);

const search = { method: "POST", ...asJson({ words: "red sofa", by: "hybrid", k: 3 }) };
const answer = await (await fetch(`${shop}/search`, search)).json();
for (const hit of answer.hits) console.log(hit.rank, hit.item_id, hit.title);
