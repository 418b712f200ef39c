from api.client import Client, ClientError

shop = Client("http://127.0.0.1:8000", "shop")
shop.put("sku-1", title="Red sofa", attributes={"price": 499}, photos=["sofa.jpg"])
for hit in shop.search("red sofa", k=3, filter="price < 500")["hits"]:
    print(hit["rank"], hit["item_id"], hit["title"], hit["confidence"])
more = shop.search("in blue", image="sofa.jpg")["hits"]
try:
    shop.put("sku-2", title="No picture", photos=[b"not a photo"])
except ClientError as error:
    print(error.status, error.type, error)
