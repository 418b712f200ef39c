# Put an item with a photo, find it by words, find what looks like a picture but is blue
curl -s -X PUT http://127.0.0.1:8000/v1/collections/shop/items/sku-1 \
  -F 'item={"title": "Red sofa", "attributes": {"price": 499}}' -F photo=@sofa.jpg
curl -s -G http://127.0.0.1:8000/v1/collections/shop/search -d k=3 --data-urlencode 'q=red sofa'
curl -s http://127.0.0.1:8000/v1/collections/shop/search/image -F image=@sofa.jpg -F words='in blue' -F k=3
