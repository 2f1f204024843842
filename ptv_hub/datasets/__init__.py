"""Annotation files of Kinetics, Something-Something v2 and Charades -> items: a video, its labels.

And what a data set needs before its use: is it whole and decodable, its frames extracted as
its owners did, the views of one item.
"""
