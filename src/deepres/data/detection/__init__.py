"""Images with annotated objects: VOC's, COCO's and ImageNet DET's layouts as one record type."""
